#!/usr/bin/env python3
"""Runs every test program of a build folder and sums up their cases.

    run_all.py BUILD [NAME ...]        the programs named, or all; the last line is "N passed, N failed"
"""
import json, os, re, subprocess, sys, time

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


def main():
    build, wanted = sys.argv[1], set(sys.argv[2:])
    tests = json.loads(subprocess.run(["meson", "introspect", "--tests", build], check=True, capture_output=True, text=True).stdout)
    if unknown := wanted - {t["name"] for t in tests}:
        sys.exit(f"no such test: {', '.join(sorted(unknown))}; there are: {', '.join(t['name'] for t in tests)}")
    passed = failed = 0
    for test in tests:
        if wanted and test["name"] not in wanted: continue
        start = time.monotonic()
        try:
            run = subprocess.run(test["cmd"], cwd=test.get("workdir") or build, env={**os.environ, **test.get("env", {})}, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, errors="replace", timeout=test.get("timeout") or None)
            output, code = run.stdout, run.returncode
        except subprocess.TimeoutExpired as e:
            output, code = (e.stdout or b"").decode(errors="replace") + "\ntimed out", 1
        good, bad = cases(output, code)
        passed, failed = passed + good, failed + bad
        print(f"{test['name']:12} {good:4} passed {bad:4} failed {time.monotonic() - start:7.1f} s", flush=True)
        for line in sorted(set(m[0] for m in SKIPPED.finditer(output))): print(f"             {line}", flush=True)
        if bad: print(output, flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
