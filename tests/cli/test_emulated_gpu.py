"""--device with a GPU behind it: the program with the GPU's backend in emulation, tiny models and few steps."""
import json, os

from support import CONFIG, EMULATED, CliTest, floats, read_safetensors, run, write_rows

GPU = "1 9.0 4096 13000"


class EmulatedGpu(CliTest):
    def setUp(self):
        super().setUp()
        if not os.path.exists(EMULATED): self.skipTest(f"SKIPPED: no {EMULATED}")

    def options(self, machine): return {"binary": EMULATED, "env": {"EMULATED_GPUS": machine}}

    def gpu(self, *words, machine=GPU):
        done = run(*words, **self.options(machine))
        self.assertEqual(0, done.returncode, done.stderr)
        return done

    def both(self, *words, device="cuda"):
        """What --json prints on the processor and on the GPU."""
        return self.json(*words, "--device", "cpu"), json.loads(self.gpu(*words, "--device", device, "--json").stdout)

    def refused(self, code, *words, says, machine=GPU): return self.fails(code, *words, says=says, **self.options(machine))

    def eval(self): return ["eval", "--model", self.model, "--data", self.data]

    def train(self, output="out", steps=3): return ["train", "--model", self.model, "--data", self.data, "--output", self.folder / output, "--rank", 4, "--lr", 1e-2, "--batch-size", 2, "--steps", steps]


class Choice(EmulatedGpu):
    def test_auto_takes_the_gpu_and_says_so(self):
        done = self.gpu(*self.eval(), "--device", "auto")
        lines = done.stderr.splitlines()
        self.assertEqual("device: Emulated GPU, 4.00 GiB free", lines[0])
        self.assertRegex(lines[1], r"\Aforecast: \S+ MiB of the GPU's memory \(weights \S+ KiB, activations \S+ [KM]iB, workspace \S+ MiB\), \S+ MiB of the host's\Z")
        self.assertEqual(2, len(lines), lines)

    def test_without_a_driver_auto_is_silent(self):
        for driver in (0,):
            done = self.gpu(*self.eval(), "--device", "auto", machine=f"0 9.0 4096 {driver}")
            self.assertEqual("", done.stderr)
            self.refused(2, *self.eval(), "--device", "cuda", machine=f"0 9.0 4096 {driver}", says="cuda: expected NVIDIA's driver, found none")

    def test_what_is_missing_is_said(self):
        for machine, reason in (("1 9.0 4096 12040", "expected a driver for CUDA 13.0 or newer, found one for CUDA 12.4"),
                                ("1 7.5 4096 13000", "Emulated GPU: expected compute capability 8.0 or newer, found 7.5"),
                                ("0 9.0 4096 13000", "expected a GPU, found none (no CUDA-capable device is detected)")):
            with self.subTest(machine):
                done = self.gpu(*self.eval(), "--device", "auto", machine=machine)
                self.assertEqual(f"warning: device: {reason}; the processor is used\n", done.stderr)
                for device in ("cuda", "cuda:0"): self.refused(2, *self.eval(), "--device", device, machine=machine, says=f"cuda: {reason}")
                self.refused(2, *self.eval(), "--device", "auto", "--tf32", machine=machine, says=("--tf32", reason))

    def test_a_gpu_that_is_not_there(self):
        self.refused(2, *self.eval(), "--device", "cuda:1", says="cuda: expected a GPU from 0 to 0, found 1")
        self.gpu(*self.eval(), "--device", "cuda:1", machine="2 9.0 4096 13000")

    def test_a_gpu_that_cannot_be_opened(self):
        """Too small for what is taken at once; a library that is missing goes the same way."""
        done = self.gpu(*self.eval(), "--device", "auto", machine="1 9.0 48 13000")
        self.assertRegex(done.stderr, r"\Awarning: device: cuda: out of memory: [^\n]*; the processor is used\n\Z")
        self.refused(4, *self.eval(), "--device", "cuda", machine="1 9.0 48 13000", says="cuda: out of memory")

    def test_inspect(self):
        facts = json.loads(self.gpu("inspect", "--devices", "--json", machine="2 9.0 4096 13000").stdout)
        gpu = {"name": "Emulated GPU", "capability": "9.0", "memory_bytes": 4 << 30, "free_bytes": 4 << 30, "fit": True, "why_not": None}
        self.assertEqual([{"index": 0, **gpu}, {"index": 1, **gpu}], facts["gpus"])
        self.assertIsNone(facts["why_no_gpu"])
        lines = self.gpu("inspect", "--devices", machine="2 9.0 4096 13000").stdout.splitlines()
        column = next(line for line in lines if line.startswith("cuda:1 ")).index("Emulated GPU")
        for line in lines: self.assertTrue(line[column - 1] == " " and line[column] != " ", line)
        facts = json.loads(self.gpu("inspect", "--devices", "--json", machine="1 7.5 4096 13000").stdout)
        self.assertEqual((False, None), (facts["gpus"][0]["fit"], facts["gpus"][0]["free_bytes"]))
        self.assertEqual(facts["gpus"][0]["why_not"], facts["why_no_gpu"])
        self.assertIn("\n  fit              no: Emulated GPU: expected compute capability 8.0 or newer, found 7.5\n", self.gpu("inspect", "--devices", machine="1 7.5 4096 13000").stdout)


class Computing(EmulatedGpu):
    def test_training(self):
        done = self.gpu(*self.train(), "--device", "cuda")
        self.assertIn("\nforecast: ", done.stdout)
        self.assertNotIn("predicted peak memory", done.stdout)
        self.assertEqual(3, done.stderr.count("tokens/s  GPU "))
        self.ok(*self.train("cpu"))
        for ours, theirs in zip(self.metrics(self.folder / "cpu"), self.metrics(self.folder / "out"), strict=True):
            self.assertEqual([*ours, "device_peak_bytes"], list(theirs))
            self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=2e-5 * ours["loss"])
            self.assertAlmostEqual(ours["grad_norm"], theirs["grad_norm"], delta=1e-3 * ours["grad_norm"])
        # What it wrote is an adapter like any other.
        a, b = (self.json(*self.eval(), "--adapter", self.folder / name)["loss"] for name in ("cpu", "out"))
        self.assertAlmostEqual(a, b, delta=1e-4 * a)

    def test_the_forecast_is_what_it_takes(self):
        result = json.loads(self.gpu(*self.train(steps=2), "--device", "cuda", "--json").stdout)
        plan, taken = result["memory"], result["device_peak_bytes"]
        self.assertEqual(plan["predicted_peak_bytes"], sum(plan["predicted"].values()))
        self.assertEqual(["weights", "trained", "optimiser", "activations", "workspace"], list(plan["predicted"]))
        self.assertGreater(plan["predicted_host_bytes"], 1 << 20)
        page = 2 << 20  # what the driver gives at least
        self.assertLess(abs(taken - plan["predicted_peak_bytes"]), page + taken // 50)
        checked = json.loads(self.gpu("check", *self.train("checked", steps=2)[1:], "--device", "cuda", "--json").stdout)
        self.assertEqual(plan["predicted"], checked["predicted"])
        self.assertEqual(plan["available_bytes"], checked["available_bytes"])
        text = self.gpu("check", *self.train("checked", steps=2)[1:], "--device", "cuda").stdout
        self.assertRegex(text, r"(?m)^peak memory +\S+ MiB predicted of the GPU's$")
        self.assertRegex(text, r"(?m)^host memory +\S+ MiB predicted$")

    def test_profiles(self):
        profile = json.loads(self.gpu(*self.train(steps=2), "--device", "cuda", "--profile", "time", "--json").stdout)["profile"]
        kernels = {k["kernel"]: sum(k["seconds"].values()) for k in profile["kernels"]}
        for name in ("attention", "attention_backward", "adamw", "head_loss"): self.assertGreater(kernels[name], 0)
        self.assertLess(sum(kernels.values()), profile["seconds"])
        profile = json.loads(self.gpu("check", *self.train("checked")[1:], "--device", "cuda", "--profile", "memory", "--json").stdout)["profile"]
        self.assertIn("workspace", profile["peak"])
        self.assertNotIn("process", profile["peak"])

    def test_full_training_and_pretraining(self):
        self.gpu("train", "--model", self.model, "--data", self.data, "--output", self.folder / "full", "--full", "--batch-size", 2, "--steps", 1, "--device", "cuda")
        words = ["pretrain", "--config-json", self.samples / "config.json", "--data", self.data, "--batch-size", 2, "--steps", 1]
        ours, theirs = self.ok(*words, "--output", self.folder / "a"), self.gpu(*words, "--output", self.folder / "b", "--device", "cuda")
        self.assertIn("forecast: ", theirs.stdout)
        a, b = (read_safetensors(self.folder / name / "model.safetensors") for name in ("a", "b"))
        self.assertEqual(sorted(a), sorted(b))
        self.assertLess(max(abs(x - y) for name in a for x, y in zip(floats(a[name][2]), floats(b[name][2]))), 4e-4)

    def test_evaluation(self):
        for more in ([], ["--adapter", self.adapter]):
            ours, theirs = self.both(*self.eval(), *more)
            self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=2e-5 * ours["loss"])
            self.assertEqual(ours["tokens"], theirs["tokens"])
        ours, theirs = self.json(*self.eval(), "--logits", self.folder / "a"), self.gpu(*self.eval(), "--logits", self.folder / "b", "--device", "cuda")
        a, b = (read_safetensors(self.folder / name) for name in ("a", "b"))
        for name in a:
            for x, y in zip(floats(a[name][2]), floats(b[name][2]), strict=True): self.assertAlmostEqual(x, y, delta=1e-4)

    def test_generation(self):
        ours, theirs = self.both("generate", "--model", self.model, "--adapter", self.adapter, "--prompt", "Ann saw", "--max-tokens", 6)
        self.assertEqual(ours["ids"], theirs["ids"])

    def test_merging(self):
        words = ["merge", "--model", self.model, "--adapter", self.adapter]
        ours = self.json(*words, "--output", self.folder / "a")
        theirs = json.loads(self.gpu(*words, "--output", self.folder / "b", "--device", "cuda", "--json").stdout)
        self.assertEqual(*(facts["merged"] for facts in (ours, theirs)))
        self.assertLess(theirs["largest_logit_difference"], 1e-4)
        a, b = (read_safetensors(self.folder / name / "model.safetensors") for name in ("a", "b"))
        for name in a:
            for x, y in zip(floats(a[name][2]), floats(b[name][2]), strict=True): self.assertAlmostEqual(x, y, delta=1e-6)

    def test_bf16_needs_no_processor_that_has_it(self):
        none = {"LORAGRAD_MAX_CPU_ISA": "avx2", "EMULATED_GPUS": GPU}
        done = run(*self.eval(), "--device", "cuda", "--precision", "bf16", "--json", binary=EMULATED, env=none)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertAlmostEqual(self.json(*self.eval())["loss"], json.loads(done.stdout)["loss"], delta=0.05)

    def test_tf32(self): self.gpu(*self.eval(), "--device", "cuda", "--tf32")


class Memory(EmulatedGpu):
    """A GPU of 96 MiB may give half of them, of which the workspace takes most."""
    SMALL = "1 9.0 96 13000"

    def wide(self):
        """A model whose weights take 12 MiB, and one step on all rows more than there is."""
        (self.folder / "config.json").write_text(json.dumps({**CONFIG, "hidden_size": 128, "intermediate_size": 4096, "num_hidden_layers": 2, "max_position_embeddings": 256}))
        rows = write_rows(self.folder / "rows.jsonl", [{"text": chr(97 + i) * 200} for i in range(8)])
        self.ok("pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--output", self.folder / "model", "--steps", 1)
        return ["--model", self.folder / "model", "--data", rows], ["--rank", 2, "--steps", 1, "--batch-size", 8]

    def test_a_run_that_does_not_fit_is_refused_before_it_begins(self):
        model, run_flags = self.wide()
        out = ["--output", self.folder / "out"]
        lack = r"memory: \S+ MiB of the device's may be taken, and \S+ MiB will be needed; "
        text = self.refused(4, "train", *model, *run_flags, *out, "--device", "cuda", machine=self.SMALL, says="memory: ")
        self.assertRegex(text, lack)
        done = self.gpu("train", *model, *run_flags, *out, "--device", "auto", machine=self.SMALL)
        self.assertRegex(done.stderr, rf"(?m)^warning: {lack}.*; the processor is used$")
        self.assertNotIn("device_peak_bytes", self.metrics(self.folder / "out")[0])
        self.assertIn("predicted peak memory", done.stdout)

    def test_using_a_model_that_does_not_fit(self):
        model, _ = self.wide()
        words = ["eval", *model, "--tokens-per-batch", 8 * 256]
        text = self.refused(4, *words, "--device", "cuda", machine=self.SMALL, says="memory: ")
        self.assertRegex(text, r"memory: \S+ MiB of the device's may be taken, and \S+ MiB will be needed\Z")
        done = self.gpu(*words, "--device", "auto", machine=self.SMALL)
        self.assertRegex(done.stderr, r"warning: memory: [^\n]*; the processor is used\n\Z")

    def test_a_limit_is_the_devices(self):
        model, run_flags = self.wide()
        check = ["check", *model, *run_flags, "--device", "cuda", "--json"]
        facts = json.loads(self.gpu(*check).stdout)
        limit = facts["predicted_peak_bytes"] * 3 // 4
        limited = json.loads(self.gpu(*check, "--max-memory", limit).stdout)
        self.assertEqual(8, facts["rows_at_once"])
        self.assertLess(limited["rows_at_once"], 8)
        self.assertLess(limited["predicted_peak_bytes"], limit)
        self.assertLessEqual(limited["available_bytes"], limit)
        least = self.refused(4, *check, "--max-memory", "36MiB", says=("max-memory: expected at least", ", found "))
        least = int(least.split("at least ")[1].split()[0])
        self.assertLessEqual(json.loads(self.gpu(*check, "--max-memory", f"{least}MiB").stdout)["predicted_peak_bytes"], least << 20)

    def test_memory_that_runs_out_all_the_same(self):
        model, run_flags = self.wide()
        # What was free is taken by others before the run takes it.
        machine = "1 9.0 4096 13000 4040"
        text = self.refused(4, "train", *model, *run_flags, "--output", self.folder / "out", "--device", "auto", machine=machine,
                            says=("cuda: out of memory: expected", "; forecast: ", "of the GPU's memory (weights "))
        self.assertLess(len(text), 420)
        self.refused(4, "eval", *model, "--device", "cuda", machine="1 9.0 4096 13000 4055", says=("cuda: out of memory: expected", "; forecast: "))
