"""Paths that the system refuses, files that two runs want, and values that nobody uses."""
import json, os, shutil, subprocess

from support import BINARY, CliTest, on_processor


class OddInputs(CliTest):
    def words(self, *more, data=None): return ["train", "--model", self.model, "--data", data or self.data, "--steps", 1, "--rank", 2, "--output", self.folder / "out", *more]

    def test_a_path_that_cannot_be_looked_at_is_named_first(self):
        loop, long = self.folder / "loop", self.folder / ("n" * 256)
        os.symlink("loop", loop)
        for path, reason in ((loop, "Too many levels of symbolic links"), (long, "File name too long")):
            for words in (self.words(data=path), self.words("--metrics", path), ["eval", "--model", self.model, "--data", path], ["eval", "--model", self.model, "--data", self.data, "--logits", path],
                          ["inspect", path]):
                with self.subTest(words):
                    line = self.fails(4, *words, says=reason)
                    self.assertTrue(line.startswith(f"error: {path}: cannot "), line)

    def test_metrics_of_one_run_at_a_time(self):
        metrics = self.folder / "m"
        words = [BINARY, *on_processor(self.words("--metrics", metrics))]
        words[words.index("--steps") + 1] = "1000000"
        first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (first.kill(), first.wait()))
        for line in first.stderr:
            if line.startswith("step "): break
        words[words.index("--steps") + 1], words[words.index("--output") + 1] = "1", str(self.folder / "other")
        second = subprocess.run(words, capture_output=True, text=True, timeout=60)
        self.assertEqual(0, second.returncode, second.stderr)
        self.assertIn(f"warning: {metrics}: expected a file that no other process writes, found another writing it; the metrics end here, and the run goes on\n", second.stderr)
        self.assertTrue((self.folder / "other" / "adapter_model.safetensors").exists())
        first.terminate()
        first.communicate(timeout=60)
        steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
        self.assertEqual(list(range(1, len(steps) + 1)), steps)

    def test_a_model_card_that_cannot_be_read_is_no_reason_to_refuse(self):
        adapter = self.folder / "a"
        shutil.copytree(self.adapter, adapter)
        words = ["generate", "--model", self.model, "--adapter", adapter, "--prompt", "a", "--max-tokens", 3]
        expected = self.json(*words)["ids"]
        (adapter / "README.md").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d" * 32 + "\nsize 5\n")
        self.assertEqual(expected, self.json(*words)["ids"])

    def test_integers_without_end(self):
        # Longer than a double's largest, which a lexer of JSON refuses.
        for digits in (30, 308, 309, 310, 5000):
            big = "9" * digits
            data = self.folder / "d.jsonl"
            data.write_text('{"text": "Ann saw the cat.", "id": %s, "more": [-%s, 1]}\n' % (big, big))
            self.ok("check", "--model", self.model, "--data", data)
            data.write_text('{"input_ids": [1, %s, 2]}\n' % big)
            self.fails(3, "check", "--model", self.model, "--data", data, says=f"{data}:1: input_ids[1]: expected an integer in")
        model = self.copy_model()
        config = (model / "config.json").read_text().rstrip().removesuffix("}")
        (model / "config.json").write_text(config + ', "made_up": %s}' % ("1" + "0" * 400))
        self.ok("check", "--model", model, "--data", self.data)

    def test_an_adapter_without_a_folder(self):
        self.fails(2, "generate", "--model", self.model, "--adapter", ":1", "--prompt", "a", says=("--adapter: expected DIR", '":1"'))

    def test_flags_that_only_look_like_ours(self):
        line = self.fails(2, *self.words("--log-interval", 1), says="unknown flag --log-interval: ")
        self.assertNotIn("--eval-every", line)
