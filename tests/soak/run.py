#!/usr/bin/env python3
"""What ./run test tries a few times, tried to the end: kills at random moments, a crash of the disk before each of its calls,
and each of these calls failing in each way. Ends with what was survived.

    run.py BUILD [--kills 100]
"""
import argparse, os, pathlib, re, subprocess, sys, time

ROOT = pathlib.Path(__file__).parents[2]
SUITES = (("kills", "test_killed_at_random_moments"), ("crashes", "test_the_power_goes_at_any_call"), ("faults", "test_a_call_fails"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--kills", type=int, default=100)
    args = parser.parse_args()
    build = pathlib.Path(args.build).resolve()
    env = {**os.environ, "LORAGRAD_SOAK": str(args.kills), "LORAGRAD_DISK_SHIM": str(build / "tests/cli/libdisk_shim.so")}
    figures, failed = [], 0
    for name, test in SUITES:
        started = time.monotonic()
        done = subprocess.run([sys.executable, ROOT / "tests/cli/run.py", build / "app/loragrad", "-k", test], env=env, capture_output=True, text=True)
        text = done.stdout + done.stderr
        found = re.search(rf"^.*?({name}: [^\n]*)", text, re.MULTILINE)
        figures.append(f"{found[1] if found else f'{name}: none'} ({time.monotonic() - started:.0f} s)")
        print(figures[-1], flush=True)
        if done.returncode != 0 or not found or "skipped" in text:
            failed += 1
            print(text, flush=True)
    print(f"soak: {len(SUITES) - failed} passed, {failed} failed; " + "; ".join(figures))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
