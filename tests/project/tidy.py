#!/usr/bin/env python3
"""clang-tidy over the sources, as .clang-tidy says.

    tidy.py BUILD [FILE or FOLDER ...]     default: all that the program consists of
"""
import json, os, pathlib, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ["app", "data", "engine", "io", "lora", "models", "ops", "optim", "train"]
OF_GCC_ALONE = {"-fno-gnu-unique"}  # an error to clang, where gcc's build has it


def main(build, *chosen):
    commands = json.loads((pathlib.Path(build) / "compile_commands.json").read_text())
    for entry in commands: entry["command"] = " ".join(word for word in entry["command"].split(" ") if word not in OF_GCC_ALONE)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "compile_commands.json").write_text(json.dumps(commands))
        return tidy(commands, folder, chosen)


def tidy(commands, folder, chosen):
    """Of the commands, which lie in the folder, those for the files chosen. A kernel has one for each instruction set."""
    known = {(pathlib.Path(entry["directory"]) / entry["file"]).resolve() for entry in commands}
    places = [pathlib.Path(word).resolve() for word in chosen] or [ROOT / folder for folder in FOLDERS]
    files = sorted(file for file in known if file.suffix == ".cpp" and any(place == file or place in file.parents for place in places))
    if not files: sys.exit("error: tidy: expected sources of the build, found none")
    command = [os.environ.get("CLANG_TIDY", "clang-tidy"), "--quiet", "-p", folder]
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
