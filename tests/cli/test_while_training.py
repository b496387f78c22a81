"""Early stop, the best adapter, samples, and micro-batches by tokens."""
import contextlib, json, os, signal, subprocess, tempfile

from support import BINARY, CliTest, floats, on_processor, read_safetensors, run, write_rows


class WhileTraining(CliTest):
    def words(self, output="out", **flags):
        flags = {"model": self.model, "data": self.data, "output": self.folder / output, "rank": 4, "steps": 6, "lr": 1e-2, "eval_data": self.data, **flags}
        words = ["train"]
        for name, value in flags.items():
            for each in value if isinstance(value, list) else [value]: words += ["--" + name.replace("_", "-"), each]
        return words

    def tensors(self, folder): return (folder / "adapter_model.safetensors").read_bytes()

    def test_the_best_evaluations_adapter_is_kept(self):
        # Other rows than those that are evaluated: a rate that ruins what the model knew, so that the first evaluation is the best.
        other = write_rows(self.folder / "other.jsonl", [{"text": "zzzz qqqq xxxx"}] * 8)
        result = self.json(*self.words(data=other, eval_every=2, lr=3e-2, schedule="constant"))
        out = self.folder / "out"
        self.assertEqual({"step": 2, "folder": str(out / "best")}, {k: result["best"][k] for k in ("step", "folder")})
        self.assertEqual(["README.md", "adapter_config.json", "adapter_model.safetensors", "evaluation.json"], sorted(p.name for p in (out / "best").iterdir()))
        self.assertAlmostEqual(result["best"]["loss"], self.loss("--model", self.model, "--adapter", out / "best"), places=4)
        self.assertAlmostEqual(result["eval"]["loss"], self.loss("--model", self.model, "--adapter", out), places=4)
        self.assertLess(result["best"]["loss"], result["eval"]["loss"] - 0.01)
        self.assertIn("`best/` has the one that had the lowest loss of all evaluations", (out / "README.md").read_text())
        card = (out / "best/README.md").read_text()
        self.assertIn("The folder around it has the one after the last step, 6.", card)
        self.assertIn(f": 2 steps.\n", card)
        self.assertIn(f": {result['best']['loss']:.4f} (perplexity ", card)
        for last in (result["loss"], result["eval"]["loss"]): self.assertNotIn(f"{last:.4f}", card)
        text = self.ok(*self.words(data=other, eval_every=2, lr=3e-2, schedule="constant"), "--overwrite")
        self.assertIn(f"after step 2, kept in {out}/best; the adapter around it is the last, of step 6\n", text)
        (out / "best" / "notes.txt").write_text("mine")
        self.fails(4, *self.words(), "--overwrite", says="best/notes.txt in it")

    def test_a_last_evaluation_that_is_the_best(self):
        result = self.json(*self.words(eval_every=3))
        out = self.folder / "out"
        self.assertEqual(6, result["best"]["step"])
        self.assertEqual(self.tensors(out), self.tensors(out / "best"))
        self.assertIn("This adapter, the last, had the lowest loss", (out / "README.md").read_text())
        self.ok(*self.words("once"))
        self.assertFalse((self.folder / "once" / "best").exists())

    def test_a_best_adapter_that_cannot_be_kept(self):
        """The first evaluation's is kept, then something is in the way. What was trained is there all the same."""
        def lock(out):
            if not (out / ".best.lock").is_dir(): os.mkdir(out / ".best.lock")
        def link(out):
            if (out / "best").is_symlink(): return
            os.rename(out / "best", tempfile.mkdtemp(dir=self.folder))
            os.symlink("best", out / "best")
        for name, stand_in_the_way in (("lock", lock), ("link", link)):
            with self.subTest(name):
                out = self.folder / name
                words = self.words(name, eval_every=10, lr=1e-3, schedule="constant", steps=1000000)
                process = subprocess.Popen([BINARY, *on_processor(words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                self.addCleanup(process.kill)
                for line in process.stderr:
                    if "the best adapter is not kept, and the run goes on" in line: break
                    # Again, where the program was just writing.
                    if (out / "best/adapter_config.json").exists():
                        with contextlib.suppress(OSError): stand_in_the_way(out)
                process.send_signal(signal.SIGINT)
                text, error = process.communicate(timeout=60)
                self.assertEqual(130, process.returncode, error)
                self.assertRegex(text, r"best evaluation: loss \d\.\d+ after step \d+, not kept\n")
                self.ok("eval", "--model", self.model, "--adapter", out, "--data", self.data)
                self.assertNotIn("best/", (out / "README.md").read_text())

    def test_early_stop(self):
        other = write_rows(self.folder / "other.jsonl", [{"text": "zzzz qqqq xxxx"}] * 8)
        flags = {"data": other, "eval_every": 1, "lr": 3e-2, "schedule": "constant", "steps": 20, "early_stop": 2}
        result = self.json(*self.words(**flags))
        self.assertTrue(result["early_stopped"])
        self.assertEqual(result["steps"], result["best"]["step"] + 2)
        self.assertFalse(result["interrupted"])
        self.assertIn("stopped early: 2 evaluations without a lower loss\n", self.ok(*self.words("two", **flags)))
        self.assertIn("(stopped early, as evaluations did not get better)", (self.folder / "two" / "README.md").read_text())
        self.assertFalse(self.json(*self.words("three", **{**flags, "early_stop": 30}))["early_stopped"])
        self.fails(2, *self.words("four", early_stop=2), says="--early-stop: expected --eval-every beside it")

    def test_samples(self):
        done = run(*self.words(eval_every=3, sample_prompt=["Ann saw", "Kim\n"]), "--json")
        self.assertEqual(0, done.returncode, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("after step ")]
        self.assertEqual(['after step 3, "Ann saw": ', 'after step 3, "Kim\\n": ', 'after step 6, "Ann saw": ', 'after step 6, "Kim\\n": '],
                         [line[:line.index('": ') + 3] for line in lines])
        samples = json.loads(done.stdout)["samples"]
        self.assertEqual(["Ann saw", "Kim\n"], [sample["prompt"] for sample in samples])
        written = self.json("generate", "--model", self.model, "--adapter", self.folder / "out", "--prompt", "Ann saw", "--max-tokens", 48)["text"]
        self.assertEqual(written, samples[0]["text"])
        self.fails(2, *self.words("long", sample_prompt="a" * 96), says="--sample-prompt: expected fewer tokens than the model's 96 positions, found 96")

    def test_samples_do_not_change_the_training(self):
        self.ok(*self.words("with", eval_every=2, sample_prompt="Ann"))
        self.ok(*self.words("without", eval_every=2))
        self.assertEqual(self.tensors(self.folder / "with"), self.tensors(self.folder / "without"))

    def test_micro_batches_by_tokens_give_what_rows_give(self):
        data = write_rows(self.folder / "rows.jsonl", [{"text": "".join(chr(97 + (i * i + j * j * j) % 26) for j in range(3 + 17 * i % 29))} for i in range(24)])
        flags = {"data": data, "batch_size": 2, "grad_accum": 4, "dropout": 0.2}
        self.ok(*self.words("rows", **flags))
        text = self.ok(*self.words("tokens", **flags, max_tokens_per_batch=70))
        line = next(line for line in text.splitlines() if line.startswith("micro-batches: "))
        self.assertRegex(line, r"^micro-batches: [123]\.\d a step, of \d\d tokens on average \(up to 70\), instead of 4\.0 by rows$")
        a, b = (read_safetensors(self.folder / name / "adapter_model.safetensors") for name in ("rows", "tokens"))
        self.assertEqual(set(a), set(b))
        for name in a:
            # Adam divides rounding by itself where a gradient is near zero; varied texts leave few of those.
            self.assertLess(max(abs(x - y) for x, y in zip(floats(a[name][2]), floats(b[name][2]))), 2e-3, name)
        losses = [[row["loss"] for row in self.metrics(self.folder / name)] for name in ("rows", "tokens")]
        for x, y in zip(*losses): self.assertAlmostEqual(x, y, places=4)
        self.assertIn("\nmicro-batches  ", self.ok("check", *self.words(**flags, max_tokens_per_batch=70)[1:]))
