#!/usr/bin/env python3
"""Every C++ file is as clang-format leaves it.

    format.py ROOT
"""
import pathlib, shutil, subprocess, sys, unittest

ROOT = pathlib.Path(sys.argv.pop()) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
FOLDERS = ["engine", "ops", "lora", "models", "optim", "io", "data", "train", "app", "examples", "tests", "bench"]


class Format(unittest.TestCase):
    @unittest.skipUnless(shutil.which("clang-format"), "clang-format is not installed")
    def test_every_file(self):
        files = [str(p) for folder in FOLDERS for end in ("*.h", "*.cpp") for p in (ROOT / folder).rglob(end)]
        run = subprocess.run(["clang-format", "--dry-run", "--Werror", *files], cwd=ROOT, capture_output=True, text=True)
        wrong = sorted({line.split(":")[0] for line in run.stderr.splitlines() if "error: code should be clang-formatted" in line})
        self.assertEqual([], wrong, "mend with: clang-format -i " + " ".join(wrong))


if __name__ == "__main__":
    unittest.main()
