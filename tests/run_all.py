#!/usr/bin/env python3
"""Runs every test program of a build folder and sums up their cases.

    run_all.py BUILD [NAME ...]                  the programs named, or all; the last line is "N passed, N failed"
    run_all.py BUILD --device cuda [NAME ...]    the suites on the GPU; "skipped: ..." and 77 where none may be used
    run_all.py BUILD --sanitize address|thread [NAME ...]    those of a build with sanitizers, with their options
"""
import argparse, concurrent.futures, json, os, pathlib, re, subprocess, sys, time

from sanitizers import sanitized

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCTEST = re.compile(r"test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed")
UNITTEST = re.compile(r"^Ran (\d+) tests?", re.MULTILINE)
UNITTEST_BAD = re.compile(r"(?:failures|errors|unexpected successes)=(\d+)")
SKIPPED = re.compile(r"SKIPPED: .*|skipped=\d+|\.\.\. skipped .*")

# The suites that run on a GPU, and what is left out there as it is about the processor, whatever the device.
SUITES = ["ops", "train", "models", "lora", "engine", "optim", "device"]
NOT_THERE = {"ops": ["--source-file-exclude=*/arena.cpp,*/gemm*.cpp"]}
GPU = {"LORAGRAD_TEST_DEVICE": "cuda"}
NO_GPU = 77  # the exit status of a test that is skipped

# The ops in a machine that is slow, emulated or checked: without cases about the cut of work and about the library, and
# without the largest.
SMALL_OPS = ["-tce=" + ",".join([
    "*number of threads*", "*limit of memory*", "under a limit*",
    "products against f64*", "a row that the library says*", "what one row or column too many*",
    "products of all small shapes*", "products of a few rows*", "logits stay*", "attention is its definition", "head and loss against*"])]
QUICK = {"LORAGRAD_QUICK_OPS": "1"}


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


def named(tests, wanted):
    if unknown := set(wanted) - {t["name"] for t in tests}:
        sys.exit(f"no such test: {', '.join(sorted(unknown))}; there are: {', '.join(t['name'] for t in tests)}")
    return [t for t in tests if not wanted or t["name"] in wanted]


def run_all(build, tests, lanes):
    """Runs them, so many at a time, and prints what came of each: the exit status."""
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run, build, test) for test in tests]):
            test, output, good, bad, seconds = done.result()
            passed, failed = passed + good, failed + bad
            print(f"{test['name']:16} {good:4} passed {bad:4} failed {seconds:7.1f} s", flush=True)
            for line in sorted(set(m[0] for m in SKIPPED.finditer(output))): print(f"                 {line}", flush=True)
            if bad: print(output, flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def gpus(build):
    """What the program says of the machine's GPUs (docs/cli.md, inspect --devices)."""
    program = pathlib.Path(build) / "app" / "loragrad"
    done = subprocess.run([program, "inspect", "--devices", "--json"], capture_output=True, text=True)
    if done.returncode != 0: sys.exit(f"error: {program} ended with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def why_no_gpu(found):
    """Empty where one may be used."""
    if any(gpu["fit"] for gpu in found["gpus"]): return ""
    return found["why_no_gpu"] or "; ".join(gpu["why_not"] for gpu in found["gpus"]) or "there is no GPU"


def suite(build, name):
    program = pathlib.Path(build).resolve() / "tests" / name / f"test_{name}"
    return {"name": name, "cmd": [str(program), *NOT_THERE.get(name, [])], "env": GPU, "workdir": ROOT}


def run_on_gpu(build, wanted=(), seconds=600):
    tests = named([{**suite(build, name), "timeout": seconds} for name in SUITES], wanted)
    if reason := why_no_gpu(gpus(build)):
        print(f"skipped: {reason}")
        return NO_GPU
    # Mostly they wait for the processor, where what the GPU gives is computed again.
    return run_all(build, tests, min(len(tests), os.cpu_count() or 1))


def introspect(build, what):
    return json.loads(subprocess.run(["meson", "introspect", f"--{what}", build], check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--device", choices=["cuda"])
    parser.add_argument("--sanitize", choices=list(sanitized.SUITES))
    args = parser.parse_intermixed_args()
    if args.device: return run_on_gpu(args.build, args.names)
    tests = named(introspect(args.build, "tests"), args.names or sanitized.SUITES.get(args.sanitize, []))
    if args.sanitize:
        built = next(option["value"] for option in introspect(args.build, "buildoptions") if option["name"] == "b_sanitize")
        if args.sanitize not in built.split(","): sys.exit(f"error: {args.build}: b_sanitize: expected {args.sanitize}, found {built} (./run test --sanitize {args.sanitize} builds it)")
        tests = sanitized.with_options(tests, args.sanitize, args.names)
    # The program's tests, which mostly wait for it, take as long as all others together: they run beside them.
    tests.sort(key=lambda t: t["name"] != "cli")
    return run_all(args.build, tests, min(2, os.cpu_count() or 1))


if __name__ == "__main__":
    sys.exit(main())
