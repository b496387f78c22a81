"""--dora through the commands: lengths of rows, which merge into the weights."""
import json

from support import CliTest, floats, read_safetensors, run

Q0 = "model.layers.0.self_attn.q_proj."


class Dora(CliTest):
    def train(self, output, *more):
        return run("train", "--model", self.model, "--data", self.data, "--output", output, "--rank", 4, "--alpha", 12, "--lr", 1e-2, "--steps", 10, "--dora", *more)

    def test_trained_saved_used_and_merged(self):
        adapter = self.folder / "adapter"
        done = self.train(adapter, "--json")
        self.assertEqual(0, done.returncode, done.stderr)
        # q [32 -> 32] and v [32 -> 16] of two layers.
        self.assertEqual(2 * (4 * (32 + 32) + 32 + 4 * (32 + 16) + 16), json.loads(done.stdout)["trainable_parameters"])
        tensors = read_safetensors(adapter / "adapter_model.safetensors")
        magnitude = tensors["base_model.model." + Q0 + "lora_magnitude_vector"]
        self.assertEqual(("F32", [32]), magnitude[:2])
        # They began as the lengths of the base's rows, and have moved a little.
        weight = floats(read_safetensors(self.model / "model.safetensors")[Q0 + "weight"][2])
        lengths = [sum(x * x for x in weight[32 * j:32 * j + 32]) ** 0.5 for j in range(32)]
        distance = [abs(m - n) for m, n in zip(floats(magnitude[2]), lengths, strict=True)]
        self.assertLess(max(distance), 0.11)
        self.assertGreater(max(distance), 1e-3)
        self.assertIs(True, json.loads((adapter / "adapter_config.json").read_text())["use_dora"])
        self.assertIn("DoRA", (adapter / "README.md").read_text())
        self.assertIs(True, self.json("inspect", adapter)["dora"])

        base, beside = self.loss("--model", self.model), self.loss("--model", self.model, "--adapter", adapter)
        self.assertNotAlmostEqual(beside, base, places=3)
        for weight in ("", ":0.5", ":-1"):
            merged = self.folder / f"merged{weight}".replace(":", "")
            report = self.json("merge", "--model", self.model, "--adapter", f"{adapter}{weight}", "--output", merged)
            self.assertLess(report["largest_logit_difference"], 1e-4)
            self.assertAlmostEqual(self.loss("--model", self.model, "--adapter", f"{adapter}{weight}"), self.loss("--model", merged), places=5)
        # Training goes on from it, lengths and all.
        self.ok("train", "--model", self.model, "--data", self.data, "--init-adapter", adapter, "--output", self.folder / "on", "--steps", 1)
        self.assertEqual(set(tensors), set(read_safetensors(self.folder / "on" / "adapter_model.safetensors")))
        # Two at once are refused, unless rows choose between them.
        self.fails(2, "eval", "--model", self.model, "--data", self.data, "--adapter", adapter, "--adapter", self.folder / "on", says=("DoRA", "q_proj", "two at once"))
        # One step at a time says what all tokens at once say.
        words = ["generate", "--model", self.model, "--prompt", "the", "--max-tokens", 8, "--temperature", 0]
        self.assertEqual(self.json(*words, "--adapter", adapter)["ids"], self.json("generate", "--model", self.folder / "merged", *words[3:])["ids"])

    def test_the_same_bits_for_any_number_of_threads(self):
        for threads in (1, 3): self.assertEqual(0, self.train(self.folder / str(threads), "--threads", threads).returncode)
        one, three = ((self.folder / str(n) / "adapter_model.safetensors").read_bytes() for n in (1, 3))
        self.assertEqual(one, three)

    def test_what_it_does_not_go_with(self):
        words = ["train", "--model", self.model, "--data", self.data, "--output", self.folder / "o", "--dora"]
        self.fails(2, *words, "--lora-bias", says=("lora_bias", "use_dora"))
        self.fails(2, *words, "--init", "pissa", says=("init_lora_weights", "use_dora", "pissa"))
        self.fails(2, *words, "--full", says=("--dora", "--full"))

    def test_check_counts_it(self):
        words = ["check", "--model", self.model, "--data", self.data, "--rank", 4, "--target", "all-linear"]
        plain, dora = self.json(*words), self.json(*words, "--dora")
        outs = 2 * (32 + 16 + 16 + 32 + 48 + 48 + 32)
        self.assertEqual(outs, dora["trainable_parameters"] - plain["trainable_parameters"])
        self.assertEqual(4 * outs, dora["predicted"]["trained"] - plain["predicted"]["trained"])
