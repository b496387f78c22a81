#!/usr/bin/env python3
"""Runs the examples: the textbook one on a tiny OPT, and the model of one's own.

    run.py FINETUNE_OPT OWN_MODEL LORAGRAD ROOT
"""
import json, pathlib, subprocess, sys, tempfile, unittest

FINETUNE_OPT, OWN_MODEL, LORAGRAD = sys.argv[1:4]
GOLDEN = pathlib.Path(sys.argv[4]) / "tests/models/golden/opt"


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


class Examples(unittest.TestCase):
    def test_finetune_opt(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "adapter"
            done = run(FINETUNE_OPT, GOLDEN / "model", GOLDEN / "rows.jsonl", out, 4)
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertIn("trainable params: 2,560 ||", done.stdout)
            self.assertIn("step 4 loss", done.stdout)
            self.assertEqual(16, json.loads((out / "adapter_config.json").read_text())["r"])
            evaluate = lambda *words: json.loads(run(LORAGRAD, "eval", "--data", GOLDEN / "rows.jsonl", "--json", *words).stdout)["loss"]
            adapted, merged = evaluate("--model", GOLDEN / "model", "--adapter", out), evaluate("--model", out / "merged")
            self.assertAlmostEqual(adapted, merged, places=4)
            self.assertNotAlmostEqual(evaluate("--model", GOLDEN / "model"), merged, places=6)

    def test_finetune_opt_reports_errors(self):
        self.assertEqual(2, run(FINETUNE_OPT).returncode)
        done = run(FINETUNE_OPT, "/nonexistent", "rows.jsonl", "out")
        self.assertEqual(4, done.returncode)
        self.assertRegex(done.stderr, r"\Aerror: .*nonexistent.*\n\Z")

    def test_own_model(self):
        done = run(OWN_MODEL)
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertIn("base unchanged: yes", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
