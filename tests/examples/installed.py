#!/usr/bin/env python3
"""Installs the project into a folder, and builds and runs an example against it with what pkg-config says alone.

    installed.py BUILD ROOT COMPILER...
"""
import os, pathlib, shutil, subprocess, sys, tempfile, unittest

BUILD, ROOT, COMPILER = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]


def run(*command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


class Installed(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="loragrad-install-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        done = run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", self.folder / "root")
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        (self.package,) = (self.folder / "root").rglob("loragrad.pc")

    def test_program(self):
        (program,) = (path for path in (self.folder / "root").rglob("bin/loragrad"))
        self.assertIn("loragrad SUBCOMMAND", run(program, "--help").stdout)

    def test_an_example_outside_the_source(self):
        (prefix,) = (path.parents[1] for path in (self.folder / "root").rglob("include/loragrad/loragrad.h"))
        # The folder stands in for the prefix that the package was made for.
        flags = run("pkg-config", f"--define-variable=prefix={prefix.parent}", "--cflags", "--libs", "loragrad",
                    env={**os.environ, "PKG_CONFIG_PATH": str(self.package.parent)})
        self.assertEqual(0, flags.returncode, flags.stderr)
        self.assertNotIn(str(ROOT), flags.stdout)
        source = (ROOT / "examples/own_model.cpp").read_text().replace('"loragrad.h"', "<loragrad/loragrad.h>")
        (self.folder / "own_model.cpp").write_text(source)
        done = run(*COMPILER, "-std=c++20", "own_model.cpp", "-o", "own_model", *flags.stdout.split(), cwd=self.folder)
        self.assertEqual(0, done.returncode, done.stderr)
        ran = run(self.folder / "own_model", cwd=self.folder)
        self.assertEqual(0, ran.returncode, ran.stdout + ran.stderr)
        self.assertIn("base unchanged: yes", ran.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
