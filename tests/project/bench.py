#!/usr/bin/env python3
"""The benchmarks run and say what they should; what they measure is not looked at.

    bench.py ROOT STEP [OPS]
"""
import pathlib, re, subprocess, sys, unittest

ROOT, STEP, OPS = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
sys.path.insert(0, str(ROOT / "bench"))
sys.dont_write_bytecode = True
import compare_text
from compare_rows import ROWS
from compare_run import Outcome

MODEL = ROOT / "tests/models/golden/opt/model"


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


def results(ours, theirs, predicted):
    machine = dict(processor="P", cores=2, isa="I", memory_bytes=2**33, system="S", products="L", commit="c", date="d")
    return {"machine": machine, "threads": 2, "rounds": len(ours), "steps": 3, "options": "",
            "runs": {"opt-f32": {"loragrad": ours, "peft": theirs, "predicted": predicted}}}


def outcome(step, peak, loss=10.0):
    return Outcome(seconds=[9.0, step], losses=[loss, 9.5], trained=7, tokens=1024, peak=peak * 2**20, versions={"PEFT": "1"})


class Compare(unittest.TestCase):
    def test_ratios_and_verdicts(self):
        text = compare_text.report(results([outcome(1.0, 100), outcome(1.2, 100), outcome(1.1, 100)],
                                           [outcome(3.3, 400), outcome(3.6, 400), outcome(6.6, 400)], 104 * 2**20), False)
        speed, memory, same = (line.split() for line in text.splitlines() if line.startswith("OPT-125M f32"))
        # The first step is dropped; ratios are of the medians.
        self.assertEqual(["1.100", "3.600", "931", "284", "3.27", "3.00-6.00", "3", "OK"], speed[3:])
        self.assertEqual(["100", "400", "0.250", "0.28", "OK", "104", "+4.0", "%", "OK"], memory[3:])
        self.assertEqual("OK", same[7])
        self.assertFalse(compare_text.misses(text))

    def test_what_is_missed_is_said(self):
        good, peft = outcome(1.0, 100), outcome(3.3, 400)
        for word, ours, theirs, predicted in [("BELOW", outcome(1.2, 100), peft, 100), ("ABOVE", outcome(1.0, 113), peft, 113),
                                              ("OFF", good, peft, 106), ("DIFFERENT", outcome(1.0, 100, loss=10.1), peft, 100)]:
            with self.subTest(word):
                text = compare_text.report(results([ours], [theirs], predicted * 2**20), True)
                self.assertIn(f"| {word} |", text)
                self.assertTrue(compare_text.misses(text))
                self.assertEqual(1, sum(text.count(w) for w in ("BELOW", "ABOVE", "OFF", "DIFFERENT")))

    def test_rows_go_by_different_names(self):
        self.assertEqual(len(ROWS), len({row.key for row in ROWS}))

    def test_a_wrong_row_is_refused(self):
        done = run(sys.executable, ROOT / "bench/compare", "--rows", "nonsense")
        self.assertEqual(2, done.returncode)
        self.assertIn('found nonsense', done.stderr)


class Step(unittest.TestCase):
    def test_lora_and_full(self):
        for flags in [[], ["--all-linear", "--length", "3-9", "--threads", 2], ["--full"]]:
            with self.subTest(flags=flags):
                done = run(STEP, MODEL, "--rows", 3, "--length", 7, "--steps", 2, *flags)
                self.assertEqual(0, done.returncode, done.stderr)
                tokens = 3 * (6 if "3-9" in flags else 7)
                self.assertIn(f", {tokens} tokens", done.stdout)
                estimate, exact = (float(re.search(rf"^step, {words}\D* +([\d.e-]+) ", done.stdout, re.MULTILINE)[1])
                                   for words in (r"as \d x parameters x tokens", "the products it computes"))
                self.assertTrue(0.8 * estimate < exact <= estimate, (exact, estimate))
                self.assertIn("model FLOP utilisation", done.stdout)
                self.assertNotIn("nan", done.stdout)

    def test_wrong_words(self):
        for words in [[], ["m", "n"], ["m", "--rows"], ["m", "--rows", "0"], ["m", "--length", "9-3"], ["m", "--nonsense", "1"]]:
            self.assertEqual((2, ""), (lambda done: (done.returncode, done.stdout))(run(STEP, *words)))


@unittest.skipUnless(OPS, "SKIPPED: google-benchmark is not installed")
class Ops(unittest.TestCase):
    def test_forward_and_backward_of_each_op(self):
        names = run(*OPS, "--benchmark_list_tests").stdout
        for op in ["linear/q", "attention/4x256", "layer_norm", "rms_norm", "relu", "gated_silu", "rope", "dropout", "embedding"]:
            for dtype in ["f32", "bf16"]:
                self.assertRegex(names, rf"/{dtype}/{op}/forward")
                self.assertRegex(names, rf"/{dtype}/{op}/(backward|dx)")

    def test_a_line(self):
        done = run(*OPS, "--benchmark_filter=opt-125m/f32/adamw/lora_A", "--benchmark_min_time=0.001")
        self.assertRegex(done.stdout, r"opt-125m/f32/adamw/lora_A +[\d.]+ +[\d.]+ +[\d.]+ GB/s +\d+ %")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
