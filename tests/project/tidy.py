#!/usr/bin/env python3
"""clang-tidy over the sources, as .clang-tidy says.

    tidy.py BUILD [FILE or FOLDER ...]     default: all that the program consists of
"""
import json, os, pathlib, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ["app", "data", "engine", "io", "lora", "models", "ops", "optim", "train"]


def main(build, *chosen):
    known = {(pathlib.Path(entry["directory"]) / entry["file"]).resolve() for entry in json.loads((pathlib.Path(build) / "compile_commands.json").read_text())}
    places = [pathlib.Path(word).resolve() for word in chosen] or [ROOT / folder for folder in FOLDERS]
    files = sorted(file for file in known if file.suffix == ".cpp" and any(place == file or place in file.parents for place in places))
    if not files: sys.exit("error: tidy: expected sources of the build, found none")
    command = [os.environ.get("CLANG_TIDY", "clang-tidy"), "--quiet", "-p", build]
    failed = 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for number, done in enumerate(pool.map(lambda file: subprocess.run([*command, file], cwd=ROOT, capture_output=True, text=True), files), 1):
            failed += done.returncode != 0
            # On stderr it counts what system headers have, too.
            if done.returncode != 0: print(done.stdout or done.stderr, flush=True)
            if sys.stderr.isatty(): print(f"\r{number} of {len(files)} files", end="", file=sys.stderr, flush=True)
    print(f"{len(files) - failed} files without a finding, {failed} with", flush=True)
    return failed != 0


if __name__ == "__main__": sys.exit(main(*sys.argv[1:]))
