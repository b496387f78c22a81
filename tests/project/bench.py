#!/usr/bin/env python3
"""The benchmarks run and say what they should; what they measure is not looked at.

    bench.py ROOT STEP [OPS]
"""
import json, os, pathlib, re, subprocess, sys, tempfile, unittest

ROOT, STEP, OPS = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests")]
sys.dont_write_bytecode = True
import compare_text
import gpu_rows
import gpu_sanitize
import gpu_text
import run_all
from compare_rows import ROWS
from compare_run import Outcome

MODEL = ROOT / "tests/models/golden/opt/model"


def run(*command, **env):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, env={**os.environ, **env})


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

    def test_a_device_that_is_none(self):
        self.assertEqual((2, "error: --device: expected cpu or cuda, found x\n"), (lambda done: (done.returncode, done.stderr))(run(*OPS, "--device", "x")))


# Every program of a build folder, by its name. There is a GPU where the environment has one.
PROGRAM = """#!/usr/bin/env python3
import json, os, pathlib, sys, time
name, words, gpu = pathlib.Path(sys.argv[0]).name, sys.argv[1:], os.environ.get("GPU")
if words[0:1] == ["inspect"]:
    print(json.dumps({"gpus": [{"name": gpu, "fit": True, "why_not": None}] if gpu else [], "why_no_gpu": None if gpu else "no card"}))
elif words[0:1] == ["check"]:
    print(json.dumps({"predicted_peak_bytes": 104 << 20}))
elif words[0:1] == ["train"]:
    folder = pathlib.Path(words[words.index("--output") + 1])
    folder.mkdir()
    step = {"seconds": 0.005, "loss": 10.8, "tokens": 1024, "device_peak_bytes": 102 << 20}
    (folder / "metrics.jsonl").write_text(2 * (json.dumps(step) + "\\n"))
    print(json.dumps({"trainable_parameters": 7}))
elif name == "rates":
    print("copies 3000.0 GB/s\\nproducts of bf16 793000.0 GFLOP/s")
elif "--count" in words:
    print("[doctest] unskipped test cases passing the current filters: 2")
elif name == "compute-sanitizer":
    print("========= COMPUTE-SANITIZER\\n0.000100 s: a case")
    if words[1] in os.environ.get("SLOW", ""): time.sleep(60)
    if words[1] in os.environ.get("FINDS", ""): print("========= Invalid read"), sys.exit(99)
    print("0.000100 s: another\\n========= ERROR SUMMARY: 0 errors")
elif name.startswith("test_"):
    assert os.environ["LORAGRAD_TEST_DEVICE"] == "cuda"
    bad = name in os.environ.get("BAD", "")
    print(f"test cases: 3 | {3 - bad} passed | {int(bad)} failed")
    sys.exit(int(bad))
"""


class Gpu(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = pathlib.Path(folder.name)
        for name in ["app/loragrad", "bench/rates", "bin/compute-sanitizer", *(f"tests/{s}/test_{s}" for s in run_all.SUITES)]:
            file = self.build / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(PROGRAM)
            file.chmod(0o755)
        (self.build / "opt-125m-bf16-1024").mkdir()
        (self.build / "opt-125m-bf16-1024/rows.jsonl").touch()

    def gpu(self, *words, **env):
        done = run(ROOT / "bench/gpu", *words, LORAGRAD_BUILD=str(self.build), PATH=f"{self.build}/bin:{os.environ['PATH']}", **env)
        return done.returncode, done.stdout

    def test_without_a_gpu_all_is_skipped(self):
        for words in (["test"], ["sanitize"], ["table"]): self.assertEqual((77, "skipped: no card\n"), self.gpu(*words))
        done = run(sys.executable, ROOT / "tests/run_all.py", self.build, "--device", "cuda", "ops")
        self.assertEqual((77, "skipped: no card\n"), (done.returncode, done.stdout))

    def test_suites(self):
        status, out = self.gpu("test", GPU="H")
        self.assertEqual((0, f"{3 * len(run_all.SUITES)} passed, 0 failed"), (status, out.splitlines()[-1]))
        status, out = self.gpu("test", "ops", "lora", GPU="H", BAD="test_ops")
        self.assertEqual((1, "5 passed, 1 failed"), (status, out.splitlines()[-1]))

    def test_suites_leave_out_what_the_walled_device_does(self):
        for words in run_all.NOT_THERE["ops"]: self.assertIn(f"'{words}'", (ROOT / "tests/ops/meson.build").read_text())

    def test_checkers(self):
        status, out = self.gpu("sanitize", GPU="H")
        self.assertEqual(0, status, out)
        self.assertEqual(4, len(re.findall(r"2 of 2 cases .*  OK$", out, re.MULTILINE)), out)
        status, out = self.gpu("sanitize", "--seconds", 24, GPU="H", FINDS="racecheck", SLOW="memcheck")
        self.assertEqual(1, status)
        self.assertRegex(out, r"memcheck +[01] of 2 cases .* CUT OFF\nracecheck +1 of 2 cases .* FOUND\n========= Invalid read\ninitcheck .* OK\n")

    def test_table(self):
        file = self.build / "figures.json"
        words = ["table", "--models", self.build, "--python", "/bin/true", "--steps", 2]
        status, out = self.gpu(*words, "opt", "--json", file, GPU="H")
        self.assertEqual(0, status, out)
        self.assertRegex(out, r"OPT-125M 4x256 +5.0 +204800 +140000 +OK +28100 +7.29  eager, H100\n")
        self.assertRegex(out, r"OPT-125M 4x256 +102 +104 +\+2.0 %  OK\n")
        self.assertEqual((0, out), self.gpu("table", "--from", file))
        status, out = self.gpu(*words, "opt,decode", "--seconds", 0, GPU="H")
        self.assertEqual((1, 2), (status, out.count("NOT MEASURED: ")), out)

    def test_another_card_and_peft(self):
        row = gpu_rows.ROWS[2]
        ours, peft = (Outcome([1, 1 / rate], [loss], 7, 1, 0, versions={"PEFT": "1"}, device_peak=peak)
                      for rate, loss, peak in ((145_000, 10.0, 50), (58_000, 10.2, 100)))
        figure = gpu_text.Figures(row, {"loragrad": ours, "predicted": 52, "peft": {"eager": peft}}, {"products": gpu_rows.CARD / 2})
        self.assertEqual(["145000", "145000", "OK", "58000", "2.50", "eager"], gpu_text.speed_table([figure])[1][0][2:])
        self.assertEqual(["0.500", "0.40", "ABOVE", "10.0000", "10.2000", "DIFFERENT"], gpu_text.peft_table([figure])[1][0][2:])
        self.assertEqual("OFF", gpu_text.forecast_table([figure])[1][0][-1])

    def test_a_finding_is_none_of_the_summary(self):
        self.assertEqual(("OK", ""), gpu_sanitize.verdict("=========     \n========= RACECHECK SUMMARY: 0 hazards\n", 0))
        self.assertEqual("FAILED", gpu_sanitize.verdict("========= Error: no device\n", 1)[0])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
