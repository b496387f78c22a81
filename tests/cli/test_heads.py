"""An adapter on the head, through the commands. The model is tied."""
import json

from support import CONFIG, CliTest, read_safetensors

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
        for more in ((), ("--dropout", 0.2, "--rslora", "--checkpoint-activations"), ("--init", "pissa")):
            with self.subTest(more):
                name = "".join(map(str, more))
                adapter, trained, tensors = self.train("a" + name, *more)
                rank = 6 if "pissa" in more else 3  # written for the base as it is
                self.assertEqual(3 * (260 + 32) + 2 * 3 * (32 + 16), trained["trainable_parameters"])
                self.assertEqual(([rank, 32], [260, rank]), (tensors[A][1], tensors[B][1]))
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
                # Half of it; logits; of several rows one; decoding one token at a time.
                self.json("merge", "--model", self.model, "--adapter", f"{adapter}:0.5", "--output", self.folder / ("h" + name))
                self.assertAlmostEqual(self.loss("--model", self.model, "--adapter", f"{adapter}:0.5"), self.loss("--model", self.folder / ("h" + name)), places=5)
                words = ["--prompt", "the", "--max-tokens", 8, "--temperature", 0]
                self.assertEqual(self.json("generate", "--model", self.model, "--adapter", adapter, *words)["ids"], self.json("generate", "--model", merged, *words)["ids"])
                prompts = self.folder / f"prompts{name}.jsonl"
                prompts.write_text("".join(json.dumps({"prompt": "the", "adapter": which}) + "\n" for which in ("x", None)))
                rows = [json.loads(line)["ids"] for line in self.ok("generate", "--model", self.model, "--adapter", f"x={adapter}", "--data", prompts, "--max-tokens", 8, "--temperature", 0).splitlines()]
                self.assertEqual([self.json("generate", "--model", model, *words)["ids"] for model in (merged, self.model)], rows)

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

    def test_what_an_adapter_of_the_head_does_not_go_with(self):
        for flag, field in (("--lora-bias", "lora_bias"), ("--dora", "use_dora")):
            self.fails(2, *self.words("o", flag), says=(field, "an adapted head (lm_head)"))
        self.fails(3, *self.words("o", "--trainable-tokens", "5"), says=("--trainable-tokens: ", HEAD, "adapted too"))
