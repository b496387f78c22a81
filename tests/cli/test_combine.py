import json, pathlib

from support import CliTest, floats, read_safetensors

GOLDEN = pathlib.Path(__file__).parents[1] / "lora/golden/combine"


class Combine(CliTest):
    def words(self, *more, output="combined"): return ["combine", "--output", self.folder / output, *more]

    def logits(self, *adapters):
        out = self.folder / "logits.safetensors"
        self.ok("eval", "--model", self.model, "--data", self.data, "--logits", out, *(word for a in adapters for word in ("--adapter", a)))
        return [value for _, tensor in sorted(read_safetensors(out).items()) for value in floats(tensor[2])]

    def other(self):
        out = self.folder / "other"
        self.ok("train", "--model", self.model, "--data", self.data, "--output", out, "--rank", 3, "--alpha", 5, "--rslora", "--target", "q_proj,down_proj",
                "--steps", 8, "--lr", 1e-2, "--seed", 5)
        return out

    def test_cat_writes_what_both_write_together(self):
        other = self.other()
        report = self.json(*self.words("--adapter", f"{self.adapter}:0.5", "--adapter", f"{other}:-1.5"))
        self.assertEqual({"output": str(self.folder / "combined"), "method": "cat", "rank": 7, "modules": 14, "truncation_error": None}, report)
        both, one = self.logits(f"{self.adapter}:0.5", f"{other}:-1.5"), self.logits(self.folder / "combined")
        self.assertLess(max(abs(x - y) for x, y in zip(both, one)), 1e-4)
        self.assertGreater(max(abs(x - y) for x, y in zip(self.logits(), one)), 1e-2)
        config = json.loads((self.folder / "combined" / "adapter_config.json").read_text())
        self.assertEqual((7, 7, {}, {}, False), tuple(config[k] for k in ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora")))
        card = (self.folder / "combined" / "README.md").read_text()
        self.assertIn("method `cat`", card)
        self.assertIn("base_model_hash: ", card)
        self.fails(4, *self.words("--adapter", self.adapter), says="an earlier output")
        self.ok(*self.words("--adapter", self.adapter, "--overwrite"))

    def test_adapted_embeddings_and_trained_tokens(self):
        words = ["train", "--model", self.model, "--data", self.data, "--rank", 4, "--alpha", 12, "--lr", 1e-2, "--steps", 8]
        self.ok(*words, "--output", self.folder / "a", "--target", "embed_tokens,q_proj")
        self.ok(*words, "--output", self.folder / "b", "--target", "embed_tokens,down_proj", "--seed", 5)
        self.ok(*words, "--output", self.folder / "tokens", "--target", "v_proj", "--trainable-tokens", "5,17", "--seed", 7)
        two = [f"{self.folder / 'a'}:0.5", f"{self.folder / 'b'}:-1.5"]
        for name, adapters in (("embeddings", two), ("tokens-too", [self.folder / "tokens", f"{self.adapter}:0.5"])):
            with self.subTest(name):
                self.ok(*self.words(*(word for a in adapters for word in ("--adapter", a)), output=name))
                both, one = self.logits(*adapters), self.logits(self.folder / name)
                self.assertLess(max(abs(x - y) for x, y in zip(both, one)), 1e-4)
                self.assertGreater(max(abs(x - y) for x, y in zip(self.logits(), one)), 1e-2)
        self.fails(3, *self.words("--adapter", f"{self.folder / 'tokens'}:0.5", "--adapter", self.adapter), says=("model.embed_tokens", "weight of 0.5", "the base's values"))
        self.fails(3, *self.words("--adapter", self.folder / "tokens", "--adapter", self.folder / "a"), says=("model.embed_tokens", "found both"))

    def test_svd_says_what_it_cut(self):
        other = self.other()
        words = ["--adapter", self.adapter, "--adapter", other, "--method", "svd"]
        self.assertIn("truncation error: ", self.ok(*self.words(*words)))
        report = self.json(*self.words(*words, "--rank", 7, output="all"))
        self.assertLess(report["truncation_error"], 1e-5)
        self.assertLess(report["truncation_error"], self.json(*self.words(*words, "--rank", 2, output="two"))["truncation_error"])

    def test_adapters_of_peft_and_methods_that_prune(self):
        two = ["--adapter", f"{GOLDEN}/first:0.7", "--adapter", f"{GOLDEN}/second:-0.4"]
        self.assertEqual(4, self.json(*self.words(*two, "--method", "ties", "--density", 0.6))["rank"])
        theirs, ours = read_safetensors(GOLDEN / "results.safetensors"), read_safetensors(self.folder / "combined" / "adapter_model.safetensors")
        for name, (_, shape, values) in ours.items():
            expected = theirs["ties." + name.removeprefix("base_model.model.")]
            self.assertEqual(expected[1], shape)
            self.assertLess(max(abs(x - y) for x, y in zip(floats(values), floats(expected[2]))), 1e-6)
        for seed, output in ((1, "a"), (1, "b"), (2, "c")): self.ok(*self.words(*two, "--method", "dare_ties", "--density", 0.6, "--seed", seed, output=output))
        a, b, c = ((self.folder / name / "adapter_model.safetensors").read_bytes() for name in "abc")
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)

    def test_what_is_refused(self):
        one = ["--adapter", self.adapter]
        self.fails(2, *self.words(*one, "--method", "ties"), says="density: expected the part of the values that ties keeps, found none")
        self.fails(2, *self.words(*one, "--rank", 3), says="rank: expected none beside the method cat")
        self.fails(2, *self.words(*one, "--seed", 3), says="--seed: expected none beside --method cat")
        self.fails(2, *self.words(*one, "--method", "add"), says="--method")
        self.fails(2, *self.words("--adapter", f"x={self.adapter}"), says="a combined adapter is one for all rows")
        self.fails(2, *["combine", "--output", self.adapter, *one, "--overwrite"], says="--output")
        self.fails(3, *self.words("--adapter", f"{GOLDEN}/first", "--adapter", f"{GOLDEN}/third", "--method", "linear"), says="expected adapters of one rank, found 4 and 2")
        bias = self.folder / "bias"
        self.ok("train", "--model", self.model, "--data", self.data, "--output", bias, "--lora-bias", "--steps", 1)
        self.fails(3, *self.words("--adapter", bias), says="expected A and B alone")
