"""--config FILE.yaml, and the run.yaml that every run leaves."""
import json

from support import CliTest


class ConfigFile(CliTest):
    def write(self, text, name="run.yaml"):
        path = self.folder / name
        path.write_text(text)
        return path

    def adapter_bytes(self, folder): return (folder / "adapter_model.safetensors").read_bytes()

    def test_flags_come_from_a_file_and_words_win(self):
        config = self.write(f'model: {self.model}\ndata: "{self.data}"\nrank: 4\nalpha: 12\nlr: 1e-2\nsteps: 3\nrslora: true\ndora: false\n'
                            'target: q_proj,v_proj\nsample-prompt: [Ann, "Kim"]\n')
        out = self.folder / "out"
        self.ok("train", "--config", config, "--output", out, "--steps", 2)
        self.assertEqual(2, len(self.metrics(out)))
        written = json.loads((out / "adapter_config.json").read_text())
        self.assertEqual((4, 12, True, False), (written["r"], written["lora_alpha"], written["use_rslora"], written["use_dora"]))
        self.assertIn("predicted_peak_bytes", self.json("check", "--config", config))

    def test_a_run_is_repeated_from_its_run_yaml(self):
        """Bit for bit, whatever chose its micro-batches."""
        first, second = self.folder / "first", self.folder / "second"
        self.ok("train", "--model", self.model, "--data", self.data, "--eval-data", self.data, "--output", first, "--rank", 2, "--alpha", 6, "--steps", 5, "--lr", 1e-2,
                "--dropout", 0.1, "--seed", 7, "--schedule", "cosine", "--warmup-steps", 1, "--batch-size", 5, "--micro-batch", 2,
                "--target", "regex:.*(up|down)_proj", "--sample-prompt", "Ann: \"x\" # no comment", "--sample-prompt", "Zoë")
        text = (first / "run.yaml").read_text()
        self.assertRegex(text.splitlines()[0], r"^# A run of loragrad \S+ on cpu \(kernels: \S+; matrix products: .+\)")
        for line in ("rank: 2", "lr: 0.01", "micro-batch: 2", 'schedule: "cosine"', "dora: false", '  - "Zoë"', '  - "Ann: \\"x\\" # no comment"'): self.assertIn(line, text.splitlines())
        self.ok("train", "--config", first / "run.yaml", "--output", second)
        self.assertEqual(self.adapter_bytes(first), self.adapter_bytes(second))
        same = lambda name: [line for line in (name / "run.yaml").read_text().splitlines() if not line.startswith("output:")]
        self.assertEqual(same(first), same(second))
        # Nor does it write over the run it came from, whose metrics may lie apart.
        metrics = self.folder / "m.jsonl"
        self.ok("train", "--config", first / "run.yaml", "--output", self.folder / "third", "--metrics", metrics)
        before = metrics.read_bytes()
        self.ok("train", "--config", self.folder / "third" / "run.yaml", "--output", self.folder / "fourth", "--steps", 2)
        self.assertEqual(before, metrics.read_bytes())
        self.assertTrue((self.folder / "fourth" / "metrics.jsonl").exists())
        self.fails(4, "train", "--config", first / "run.yaml", says="an earlier output")

    def test_a_limit_of_memory_stands_as_what_it_led_to(self):
        out = self.folder / "out"
        facts = self.json("check", "--model", self.model, "--data", self.data, "--rank", 2, "--batch-size", 8)
        self.ok("train", "--model", self.model, "--data", self.data, "--rank", 2, "--batch-size", 8, "--steps", 2, "--output", out,
                "--max-memory", f"{facts['predicted_peak_bytes'] + (64 << 20)}")
        self.assertNotIn("max-memory", (out / "run.yaml").read_text())
        self.assertIn("micro-batch: ", (out / "run.yaml").read_text())

    def test_new_models_too(self):
        config = self.write(f"config-json: {self.samples / 'config.json'}\ndata: {self.data}\nsteps: 2\nlr: 0.01\n")
        self.ok("pretrain", "--config", config, "--output", self.folder / "a")
        self.ok("pretrain", "--config", self.folder / "a" / "run.yaml", "--output", self.folder / "b")
        self.assertEqual((self.folder / "a" / "model.safetensors").read_bytes(), (self.folder / "b" / "model.safetensors").read_bytes())

    def test_what_is_wrong_is_said_with_its_place(self):
        required = f"model: {self.model}\ndata: {self.data}\noutput: {self.folder / 'o'}\n"
        for line, says in (("rnak: 8", "unknown key rnak: did you mean rank?"), ("learning_rate: 1", "unknown key learning_rate: did you mean --lr?"),
                           ("rank: 8.5", 'rank: expected an integer in'), ("rank: \"8\"", 'rank: expected a number, found the text "8"'),
                           ("rank:", "rank: expected a number, found nothing"), ("lr: .nan", "lr: expected a number >= 0"), ("lr: -1", "lr: expected a number >= 0"),
                           ("rank: [8]", "rank: expected one value, found a list"), ("dora: yes", "dora: expected true or false, found yes"),
                           ("dora: 'true'", 'dora: expected true or false, found the text "true"'), ("target: true", "target: expected a text, found true (in quotes it is one)"),
                           ("target: null", "target: expected a text, found nothing"), ("schedule: step", "schedule: expected one of"),
                           ("config: x.yaml", "config: expected no other file in it"), ("rank: {a: 1}", "rank: expected a value, found a mapping"),
                           ("sample-prompt: [[a]]", "sample-prompt: expected a value in the list, found a list")):
            with self.subTest(line):
                config = self.write(required + line + "\n")
                self.fails(2, "train", "--config", config, says=(f"{config}: line 4, column", says))
        config = self.write("rank: 8\n" + required + "rank: 9\n")
        self.fails(2, "train", "--config", config, says=f"{config}: line 5, column 1: rank: expected once, found again (first in line 1)")
        # A word wins over a value, but does not make a wrong one right.
        self.fails(2, "train", "--config", self.write(required + "rank: '8'\n"), "--rank", 4, says="line 4, column 7: rank: expected a number")
        self.fails(4, "train", "--config", self.folder / "none.yaml", says="none.yaml")
        self.fails(2, "train", "--config", self.write("rank: 8\n"), says="--model is required")
        self.fails(2, "train", "--config", self.write("a: " + "x" * (1 << 20)), says="expected flags as YAML, found 1048579 bytes")
