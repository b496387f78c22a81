"""An adapter on the head, through the commands. The model is tied."""
import json

from support import CONFIG, TEXTS, CliTest, read_safetensors, run, write_rows

HEAD, EMBEDDING = "lm_head", "model.embed_tokens.weight"
A, B = (f"base_model.model.{HEAD}.lora_{x}.weight" for x in "AB")


class Heads(CliTest):
    def words(self, output, *more, model=None, steps=10):
        return ["train", "--model", model or self.model, "--data", self.data, "--output", self.folder / output, "--target", f"{HEAD},v_proj", "--rank", 3, "--alpha", 7,
                "--lr", 1e-2, "--steps", steps, *more]

    def train(self, output, *more, **options):
        trained = self.json(*self.words(output, *more, **options))
        return self.folder / output, trained, read_safetensors(self.folder / output / "adapter_model.safetensors")

    def test_an_adapter_of_the_head_is_trained_saved_used_and_merged(self):
        for more in ((), ("--dropout", 0.2, "--rslora", "--checkpoint-activations")):
            with self.subTest(more):
                name = "".join(map(str, more))
                adapter, trained, tensors = self.train("a" + name, *more)
                self.assertEqual(3 * (260 + 32) + 2 * 3 * (32 + 16), trained["trainable_parameters"])
                self.assertEqual(([3, 32], [260, 3]), (tensors[A][1], tensors[B][1]))
                beside = self.loss("--model", self.model, "--adapter", adapter)
                self.assertLess(beside, self.loss("--model", self.model))
                merged = self.folder / ("m" + name)
                report = self.json("merge", "--model", self.model, "--adapter", adapter, "--output", merged)
                self.assertLess(report["largest_logit_difference"], 1e-4)
                self.assertAlmostEqual(beside, self.loss("--model", merged), places=5)
                # The embedding stays what both were.
                self.assertIs(False, json.loads((merged / "config.json").read_text())["tie_word_embeddings"])
                old, new = (read_safetensors(folder / "model.safetensors") for folder in (self.model, merged))
                self.assertEqual(old[EMBEDDING], new[EMBEDDING])
                self.assertNotEqual(old[EMBEDDING], new["lm_head.weight"])
                self.check_uses(adapter, merged, name)

    def test_the_same_bits_for_any_number_of_threads(self):
        one, two, three = (self.train(str(threads), "--threads", threads, steps=5)[2] for threads in (1, 2, 3))
        self.assertEqual(one, two)
        self.assertEqual(one, three)

    def test_two_adapters_and_their_combination(self):
        a, _, _ = self.train("a")
        b, _, _ = self.train("b", "--seed", 3)
        self.ok("combine", "--adapter", a, "--adapter", f"{b}:-0.5", "--method", "cat", "--output", self.folder / "c")
        together = self.loss("--model", self.model, "--adapter", a, "--adapter", f"{b}:-0.5")
        self.assertAlmostEqual(together, self.loss("--model", self.model, "--adapter", self.folder / "c"), places=5)

    def test_other_formats_have_a_head_of_its_own_alone(self):
        (self.folder / "config.json").write_text(json.dumps({**CONFIG, "tie_word_embeddings": False}))
        untied = self.folder / "untied"
        self.ok("pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--output", untied, "--steps", 5, "--lr", 1e-2)
        adapter, _, tensors = self.train("a", model=untied)
        convert = lambda model, source, to, output: ["convert", "--model", model, "--adapter", source, "--to", to, "--output", self.folder / output]
        for to, output in (("mlx", "there"), ("gguf", "there.gguf")):
            with self.subTest(to):
                self.ok(*convert(untied, adapter, to, output))
                self.ok(*convert(untied, self.folder / output, "peft", f"back-{to}"))
                self.assertEqual(tensors, read_safetensors(self.folder / f"back-{to}/adapter_model.safetensors"))
                self.fails(3, *convert(self.model, adapter, to, "o"), says=("lm_head", "expected a head of its own", "tied"))
        self.assertEqual([HEAD, "self_attn.v_proj"], json.loads((self.folder / "there/adapter_config.json").read_text())["lora_parameters"]["keys"])
        self.assertIn(b"output.weight.lora_a", (self.folder / "there.gguf").read_bytes())

    def test_rows_that_take_it_in_turn(self):
        """One batch, in which it counts for every other row."""
        adapter, _, _ = self.train("a")
        rows = [{"text": text, "adapter": "x" if i % 2 else None} for i, text in enumerate(TEXTS[:9])]
        of = lambda rows: self.json("eval", "--model", self.model, "--adapter", f"x={adapter}", "--data", write_rows(self.folder / "rows.jsonl", rows))
        parts = [of(rows[k::2]) for k in (0, 1)]
        whole, tokens = of(rows), [part["supervised_tokens"] for part in parts]
        self.assertAlmostEqual(sum(part["loss"] * count for part, count in zip(parts, tokens)) / sum(tokens), whole["loss"], places=6)
        self.assertNotAlmostEqual(parts[1]["loss"], self.json("eval", "--model", self.model, "--data", write_rows(self.folder / "plain.jsonl", [{"text": row["text"]} for row in rows[1::2]]))["loss"], places=3)

    def test_extraction_carries_it(self):
        adapter, _, tensors = self.train("a")
        self.ok("merge", "--model", self.model, "--adapter", adapter, "--output", self.folder / "m")
        told = self.ok("extract", "--model", self.model, "--tuned", self.folder / "m", "--rank", 3, "--target", f"{HEAD},v_proj", "--output", self.folder / "e")
        self.assertEqual(sorted(tensors), sorted(read_safetensors(self.folder / "e/adapter_model.safetensors")), told)
        self.assertAlmostEqual(self.loss("--model", self.folder / "m"), self.loss("--model", self.model, "--adapter", self.folder / "e"), places=3)
        self.assertRegex(self.ok("extract", "--model", self.model, "--tuned", self.folder / "m", "--rank", 3, "--output", self.folder / "f"), r"lm_head.weight[^\n]*not among --target")

    def test_what_an_adapter_of_the_head_does_not_go_with(self):
        for flags, field in ((["--lora-bias"], "lora_bias"), (["--dora"], "use_dora"), (["--init", "pissa"], "init_lora_weights")):
            self.fails(2, *self.words("o", *flags), says=(field, "an adapted head (lm_head)"))
        adapter, _, _ = self.train("a")
        tokens = self.folder / "tokens"
        self.ok("train", "--model", self.model, "--data", self.data, "--output", tokens, "--trainable-tokens", "5", "--steps", 1)
        self.fails(3, "merge", "--model", self.model, "--adapter", adapter, "--adapter", tokens, "--output", self.folder / "m", says=(HEAD, "trained tokens of model.embed_tokens"))
        warned = run(*self.words("both", "--modules-to-save", HEAD, steps=1))
        self.assertEqual(0, warned.returncode, warned.stderr)
        self.assertIn("warning: lm_head gets no adapter: --modules-to-save trains it whole\n", warned.stderr)
        self.fails(3, *self.words("o", "--trainable-tokens", "5"), says=("--trainable-tokens: ", HEAD, "adapted too"))
