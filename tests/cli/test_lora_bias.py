"""--lora-bias through the commands: a bias in B, which merges into the layers' own."""
import json

from support import CONFIG, CliTest, floats, read_safetensors, run

Q0 = "base_model.model.model.layers.0.self_attn.q_proj.lora_B."


class LoraBias(CliTest):
    def with_biases(self):
        """A model whose attention has biases; its MLP has none."""
        (self.folder / "config.json").write_text(json.dumps({**CONFIG, "attention_bias": True}))
        self.ok("pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--output", self.folder / "biased", "--steps", 10, "--lr", 1e-2)
        return self.folder / "biased"

    def train(self, model, output, *more):
        return run("train", "--model", model, "--data", self.data, "--output", output, "--rank", 4, "--alpha", 12, "--lr", 1e-2, "--steps", 10, "--lora-bias", *more)

    def test_trained_saved_used_and_merged(self):
        model, adapter = self.with_biases(), self.folder / "adapter"
        done = self.train(model, adapter, "--json")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertNotIn("not be merged", done.stderr)
        # q [32 -> 32] and v [32 -> 16] of two layers.
        self.assertEqual(2 * (4 * (32 + 32) + 32 + 4 * (32 + 16) + 16), json.loads(done.stdout)["trainable_parameters"])
        tensors = read_safetensors(adapter / "adapter_model.safetensors")
        self.assertEqual(("F32", [32]), tensors[Q0 + "bias"][:2])
        self.assertTrue(any(floats(tensors[Q0 + "bias"][2])))
        self.assertIs(True, json.loads((adapter / "adapter_config.json").read_text())["lora_bias"])
        self.assertIn("lora_bias", (adapter / "README.md").read_text())
        facts = self.json("inspect", adapter)
        self.assertEqual((True, 12), (facts["lora_bias"], facts["tensors"]))

        base, beside = self.loss("--model", model), self.loss("--model", model, "--adapter", adapter)
        self.assertNotAlmostEqual(beside, base, places=3)
        report = self.json("merge", "--model", model, "--adapter", adapter, "--output", self.folder / "merged")
        self.assertEqual(8, report["merged"])
        self.assertLess(report["largest_logit_difference"], 1e-4)
        self.assertAlmostEqual(beside, self.loss("--model", self.folder / "merged"), places=5)
        name = "model.layers.0.self_attn.q_proj.bias"
        old, new = (floats(read_safetensors(folder / "model.safetensors")[name][2]) for folder in (model, self.folder / "merged"))
        for before, after, change in zip(old, new, floats(tensors[Q0 + "bias"][2]), strict=True): self.assertAlmostEqual(before + 3 * change, after, places=6)
        # Half of it, as an adapter's weight says.
        self.ok("merge", "--model", model, "--adapter", f"{adapter}:0.5", "--output", self.folder / "half")
        self.assertAlmostEqual(self.loss("--model", model, "--adapter", f"{adapter}:0.5"), self.loss("--model", self.folder / "half"), places=5)
        # Training goes on from it, biases and all.
        self.ok("train", "--model", model, "--data", self.data, "--init-adapter", adapter, "--output", self.folder / "on", "--steps", 1)
        self.assertEqual(set(tensors), set(read_safetensors(self.folder / "on" / "adapter_model.safetensors")))

    def test_a_layer_without_a_bias_is_trained_and_not_merged(self):
        adapter = self.folder / "adapter"
        done = self.train(self.model, adapter)
        self.assertEqual(0, done.returncode, done.stderr)
        warned = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
        self.assertEqual(1, len(warned), warned)
        self.assertIn("not be merged: no bias in model.layers.0.self_attn.q_proj", warned[0])
        self.assertLess(self.loss("--model", self.model, "--adapter", adapter), self.loss("--model", self.model))
        self.fails(3, "merge", "--model", self.model, "--adapter", adapter, "--output", self.folder / "merged", says=("q_proj.bias", "found none"))

    def test_what_it_does_not_go_with(self):
        words = ["train", "--model", self.model, "--data", self.data, "--output", self.folder / "o", "--lora-bias"]
        self.fails(2, *words, "--init", "gaussian", says=("init_lora_weights", "lora_bias", "gaussian"))
        self.fails(2, *words, "--full", says=("--lora-bias", "--full"))

    def test_check_counts_it(self):
        words = ["check", "--model", self.model, "--data", self.data, "--rank", 4, "--target", "all-linear"]
        plain, biased = self.json(*words), self.json(*words, "--lora-bias")
        outs = 2 * (32 + 16 + 16 + 32 + 48 + 48 + 32)
        self.assertEqual(outs, biased["trainable_parameters"] - plain["trainable_parameters"])
        self.assertEqual(4 * outs, biased["predicted"]["trained"] - plain["predicted"]["trained"])
