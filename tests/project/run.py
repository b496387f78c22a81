#!/usr/bin/env python3
"""The script ./run: what it lists, and what it refuses without building anything.

    run.py ROOT
"""
import pathlib, re, subprocess, sys, unittest

ROOT = pathlib.Path(sys.argv.pop()) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]


def run(*words):
    return subprocess.run([ROOT.resolve() / "run", *words], capture_output=True, text=True)


class Run(unittest.TestCase):
    def test_help_lists_its_own_commands(self):
        text = (ROOT / "run").read_text()
        own = set(re.findall(r"^  ([a-z]+)\)$", text, re.MULTILINE)) | {"demo", "train"}
        self.assertLessEqual({"build", "test", "fresh"}, own)
        for command in own: self.assertIn(f"  ./run {command} ", run("--help").stdout)

    def test_fresh_wants_a_suite(self):
        for words in ([], ["../x"], [""], ["-x"]):
            with self.subTest(words):
                done = run("fresh", *words)
                self.assertEqual((2, ""), (done.returncode, done.stdout))
                self.assertRegex(done.stderr, r"^error: fresh: expected a suite such as trixie, found \".*\"\n$")

    def test_sanitizers_are_those_of_memory_or_of_threads(self):
        for words in ([], ["memory"], [""]):
            with self.subTest(words):
                done = run("test", "--sanitize", *words)
                self.assertEqual((2, ""), (done.returncode, done.stdout))
                self.assertRegex(done.stderr, r"^error: --sanitize: expected address or thread, found \".*\"\n$")

    def test_packages_come_from_where_the_machine_has_them(self):
        for file in ("run", "tests/project/fresh_root.sh"): self.assertNotIn("://", (ROOT / file).read_text())


if __name__ == "__main__":
    unittest.main()
