#!/usr/bin/env python3
"""What ./run test tries a few times, tried to the end: kills at random moments, a crash of the disk before each of its calls,
each of these calls failing in each way, broken files for every reader, and the tests once more with sanitizers. Ends with
what was survived.

    run.py BUILD [--kills 100] [--fuzz SECONDS] [PART ...]      all parts, or those named: kills crashes faults fuzz address thread
"""
import argparse, os, pathlib, re, shutil, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUITES = ["io", "data", "engine", "ops", "optim", "models", "lora", "train", "cli"]
SHARED = ["threads", "engine", "optim", "train", "cli"]  # what works in several threads
DISK = {"kills": "test_killed_at_random_moments", "crashes": "test_the_power_goes_at_any_call", "faults": "test_a_call_fails"}


def parts(program, shim, kills, seconds):
    """{name: (command, environment, what its figures look like)}"""
    shim = {"LORAGRAD_SOAK": str(kills), "LORAGRAD_DISK_SHIM": str(shim)}
    own = {"LORAGRAD_BUILD": None}  # they build elsewhere
    tests = lambda kind, suites: ([ROOT / "run", "test", "--sanitize", kind, *suites], own, r"^(\d+ passed, \d+ failed)$")
    return {**{name: ([sys.executable, ROOT / "tests/cli/run.py", program, "-k", test], shim, rf"{name}: ([^\n]*)")
               for name, test in DISK.items()},
            "fuzz": ([ROOT / "run", "fuzz", str(seconds)], own, r"^([\d,]+ inputs, \d+ findings)$"),
            "address": tests("address", SUITES), "thread": tests("thread", SHARED)}


def soak(known, wanted):
    if unknown := set(wanted) - set(known): sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    figures, failed = [], 0
    for name in wanted or known:
        command, env, pattern = known[name]
        started = time.monotonic()
        env = {key: value for key, value in {**os.environ, **env}.items() if value is not None}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        text = done.stdout + done.stderr
        found = re.search(pattern, text, re.MULTILINE)
        figures.append(f"{name}: {found[1] if found else 'none'} ({time.monotonic() - started:.0f} s)")
        print(figures[-1], flush=True)
        if done.returncode != 0 or not found or name in DISK and "skipped" in text:
            failed += 1
            print(text, flush=True)
    print(f"soak: {len(figures) - failed} passed, {failed} failed; " + "; ".join(figures))
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--fuzz", type=int, default=600, metavar="SECONDS")
    args = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:  # with copies: hours pass, and somebody builds
        program, shim = (shutil.copy(pathlib.Path(args.build) / file, folder) for file in ("app/loragrad", "tests/cli/libdisk_shim.so"))
        return soak(parts(program, shim, args.kills, args.fuzz), args.parts)


if __name__ == "__main__":
    sys.exit(main())
