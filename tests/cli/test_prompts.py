"""Prompt and completion as the model meets them, and tokenizers that explode."""
import json, resource, subprocess

from support import BINARY, SANITIZED, SHARED, CliTest, on_processor, run, write_rows

END = ["<|endoftext|>", 256]


class Prompts(CliTest):
    def with_tokenizer(self, **parts):
        """The sample model, with parts of its tokenizer.json replaced."""
        model = self.copy_model()
        file = model / "tokenizer.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | parts))
        return model

    def rows(self, *pairs):
        return write_rows(self.folder / "pc.jsonl", [{"prompt": p, "completion": c} for p, c in pairs])

    def spans(self, model, *pairs):
        sample = self.json("check", "--model", model, "--data", self.rows(*pairs), "--rank", 4)["sample"]
        return [(span["supervised"], span["ids"]) for span in sample["spans"]]

    def test_tokens_across_the_border_are_supervised_and_such_rows_counted(self):
        model = self.with_tokenizer(normalizer={"type": "NFC"})
        data = self.rows(("Zo", "e\u0308 saw"), ("Zoe", "\u0308 saw"), ("Zo\u00eb", " saw"))
        facts = self.json("check", "--model", model, "--data", data, "--eval-data", self.rows(("a", "b")), "--rank", 4)
        self.assertEqual((0, 0), (facts["mismatched_prompts"], facts["eval"]["mismatched_prompts"]))
        data = self.rows(("Zo", "e\u0308 saw"), ("Zoe", "\u0308 saw"), ("Zo\u00eb", " saw"))
        says = f"warning: {data}: 1 of 3 rows begin with other tokens than their prompt alone"
        for words in (["check", "--rank", 4, "--json"], ["train", "--rank", 4, "--output", self.folder / "out", "--steps", 1, "--json"], ["eval", "--json"]):
            with self.subTest(words[0]):
                done = run(words[0], "--model", model, "--data", data, *words[1:])
                self.assertEqual(0, done.returncode, done.stderr)
                self.assertEqual(1, done.stderr.count(says), done.stderr)
                if words[0] == "check": self.assertEqual(1, json.loads(done.stdout)["mismatched_prompts"])
        done = run("check", "--model", self.model, "--data", self.rows(("Zo", "e")), "--rank", 4)
        self.assertNotIn("warning", done.stderr)
        # The composed character is the prompt's, and what follows the completion's.
        self.assertEqual([(False, list("Zo\u00eb".encode())), (True, [*b" saw", 256])], self.spans(model, ("Zoe", "\u0308 saw")))

    def test_what_a_post_processor_adds_stays_out_of_the_middle(self):
        model = self.with_tokenizer(post_processor={"type": "RobertaProcessing", "sep": END, "cls": END, "trim_offsets": True, "add_prefix_space": False})
        self.assertEqual([(False, [256, *b"Ann"]), (True, [*b" saw", 256])], self.spans(model, ("Ann", " saw")))
        facts = self.json("check", "--model", model, "--data", self.rows(("Ann", " saw")), "--rank", 4)
        self.assertEqual((9, 5, 0), (facts["tokens"], facts["supervised_tokens"], facts["mismatched_prompts"]))
        result = self.json("generate", "--model", model, "--prompt", "Ann", "--max-tokens", 1)
        self.assertEqual([256, *b"Ann"], result["prompt_ids"])
        self.assertEqual([256], self.json("generate", "--model", model, "--prompt", "", "--max-tokens", 1)["prompt_ids"])
        ids = json.loads(self.ok("tokenize", "--model", model, stdin='"Ann"\n'))["ids"]
        self.assertEqual([256, *b"Ann", 256], ids)

    def stopped(self, model, key):
        """Each command that tokenises ends with one line, in little memory."""
        limit = None if SANITIZED else lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        data = self.rows(("a cat", " sat"))
        for words, stdin in ((["tokenize"], '"a cat"\n'), (["eval", "--data", data], None), (["generate", "--prompt", "a cat"], None),
                             (["train", "--data", data, "--output", self.folder / "out"], None)):
            with self.subTest(words[0]):
                done = subprocess.run([BINARY, *on_processor(words), "--model", str(model)], input=stdin, capture_output=True, text=True, timeout=60, preexec_fn=limit)
                self.assertEqual((3, 1), (done.returncode, len(done.stderr.splitlines())), done.stderr)
                self.assertIn(f"{model / 'tokenizer.json'}: {key}", done.stderr)
                self.assertLess(len(done.stderr), 400)
                self.assertFalse((self.folder / "out").exists())

    def test_a_normalizer_that_explodes_is_stopped(self):
        twice = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
        self.stopped(self.with_tokenizer(normalizer={"type": "Sequence", "normalizers": [twice] * 40}), "normalizer.normalizers[")

    def test_the_explosive_tokenizer_of_the_stress_inputs(self):
        file = SHARED / "faults/stress/tok-double/tokenizer.json"
        if not file.exists(): self.skipTest(f"SKIPPED: no {file}")
        model = self.copy_model()
        (model / "tokenizer.json").write_bytes(file.read_bytes())
        self.stopped(model, "normalizer.normalizers[")
