#!/usr/bin/env python3
"""Runs every test program of a build folder and sums up their cases.

    run_all.py BUILD [NAME ...]        the programs named, or all; the last line is "N passed, N failed"
"""
import concurrent.futures, json, os, re, subprocess, sys, time

DOCTEST = re.compile(r"test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed")
UNITTEST = re.compile(r"^Ran (\d+) tests?", re.MULTILINE)
UNITTEST_BAD = re.compile(r"(?:failures|errors|unexpected successes)=(\d+)")
SKIPPED = re.compile(r"SKIPPED: .*|skipped=\d+|\.\.\. skipped .*")


def cases(output, code):
    """(passed, failed) of one program. One that prints no count is itself one case; a crash is at least one failure."""
    if found := DOCTEST.search(output):
        passed, failed = int(found[2]), int(found[3])
    elif found := UNITTEST.search(output):
        failed = sum(int(n) for n in UNITTEST_BAD.findall(output))
        passed = int(found[1]) - failed
    else:
        passed, failed = int(code == 0), int(code != 0)
    return passed, max(failed, int(code != 0))


def run(build, test):
    """(the test, its output, passed, failed, seconds)."""
    start = time.monotonic()
    try:
        done = subprocess.run(test["cmd"], cwd=test.get("workdir") or build, env={**os.environ, **test.get("env", {})}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=test.get("timeout") or None)
        output, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as e:
        output, code = (e.stdout or b"").decode(errors="replace") + "\ntimed out", 1
    return test, output, *cases(output, code), time.monotonic() - start


def main():
    build, wanted = sys.argv[1], set(sys.argv[2:])
    tests = json.loads(subprocess.run(["meson", "introspect", "--tests", build], check=True, capture_output=True, text=True).stdout)
    if unknown := wanted - {t["name"] for t in tests}:
        sys.exit(f"no such test: {', '.join(sorted(unknown))}; there are: {', '.join(t['name'] for t in tests)}")
    tests = [t for t in tests if not wanted or t["name"] in wanted]
    # The program's tests, which mostly wait for it, take as long as all others together: they run beside them.
    tests.sort(key=lambda t: t["name"] != "cli")
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as lanes:
        for done in concurrent.futures.as_completed([lanes.submit(run, build, test) for test in tests]):
            test, output, good, bad, seconds = done.result()
            passed, failed = passed + good, failed + bad
            print(f"{test['name']:16} {good:4} passed {bad:4} failed {seconds:7.1f} s", flush=True)
            for line in sorted(set(m[0] for m in SKIPPED.finditer(output))): print(f"                 {line}", flush=True)
            if bad: print(output, flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
