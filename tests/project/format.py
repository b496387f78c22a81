#!/usr/bin/env python3
"""Every C++ file is as clang-format 14 leaves it; skipped, aloud, where there is only another version.

    format.py ROOT
"""
import pathlib, re, shutil, subprocess, sys, unittest

ROOT = pathlib.Path(sys.argv.pop()) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
FOLDERS = ["engine", "ops", "lora", "models", "optim", "io", "data", "train", "app", "examples", "tests", "bench"]


VERSION = "14"  # each version lays some lines out in its own way


def formatter():
    """clang-format of that version, under either name, or None."""
    for name in (f"clang-format-{VERSION}", "clang-format"):
        if shutil.which(name):
            said = subprocess.run([name, "--version"], capture_output=True, text=True).stdout
            if re.search(rf"version {VERSION}\.", said): return name


class Format(unittest.TestCase):
    @unittest.skipUnless(formatter(), f"SKIPPED: clang-format {VERSION} is not installed, and other versions format otherwise")
    def test_every_file(self):
        files = [str(p) for folder in FOLDERS for end in ("*.h", "*.cpp", "*.cu") for p in (ROOT / folder).rglob(end)]
        run = subprocess.run([formatter(), "--dry-run", "--Werror", *files], cwd=ROOT, capture_output=True, text=True)
        wrong = sorted({line.split(":")[0] for line in run.stderr.splitlines() if "error: code should be clang-formatted" in line})
        self.assertEqual([], wrong, f"mend with: {formatter()} -i " + " ".join(wrong))


if __name__ == "__main__":
    unittest.main(verbosity=2)
