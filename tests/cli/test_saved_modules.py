"""Parameters of the base trained beside an adapter: --modules-to-save and --bias."""
import json

from support import CONFIG, CliTest, floats, read_safetensors, run

PREFIX = "base_model.model."


class SavedModules(CliTest):
    def untied(self):
        """A model with a head of its own, and biases in its attention."""
        (self.folder / "config.json").write_text(json.dumps({**CONFIG, "tie_word_embeddings": False, "attention_bias": True}))
        self.ok("pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--output", self.folder / "untied", "--steps", 10, "--lr", 1e-2)
        return self.folder / "untied"

    def train(self, model, output, *more):
        return run("train", "--model", model, "--data", self.data, "--output", output, "--rank", 4, "--alpha", 12, "--lr", 5e-3, "--steps", 10, "--json", *more)

    def test_a_head_and_biases_are_trained_saved_used_and_merged(self):
        model, adapter = self.untied(), self.folder / "adapter"
        done = self.train(model, adapter, "--modules-to-save", "lm_head", "--bias", "all")
        self.assertEqual(0, done.returncode, done.stderr)
        tensors = read_safetensors(adapter / "adapter_model.safetensors")
        self.assertEqual(("F32", [260, 32]), tensors[PREFIX + "lm_head.weight"][:2])
        self.assertIn(PREFIX + "model.layers.0.self_attn.q_proj.base_layer.bias", tensors)
        self.assertIn(PREFIX + "model.layers.0.self_attn.k_proj.bias", tensors)
        self.assertEqual(json.loads(done.stdout)["trainable_parameters"], sum(len(values) // 4 for _, _, values in tensors.values()))
        base = read_safetensors(model / "model.safetensors")
        for name in ("lm_head.weight", "model.layers.0.self_attn.k_proj.bias"):
            self.assertNotEqual(floats(base[name][2]), floats(tensors[PREFIX + name][2]))
        config = json.loads((adapter / "adapter_config.json").read_text())
        self.assertEqual(("all", ["lm_head"]), (config["bias"], config["modules_to_save"]))
        self.assertIn("lm_head", (adapter / "README.md").read_text())
        alone, beside = self.loss("--model", model), self.loss("--model", model, "--adapter", adapter)
        self.assertLess(beside, alone - 1e-3)
        self.ok("merge", "--model", model, "--adapter", adapter, "--output", self.folder / "merged")
        self.assertAlmostEqual(beside, self.loss("--model", self.folder / "merged"), places=5)
        # Training goes on from it, and a learning rate of zero changes nothing.
        self.ok("train", "--model", model, "--data", self.data, "--init-adapter", adapter, "--output", self.folder / "on", "--steps", 1, "--lr", 0)
        self.assertEqual(tensors, read_safetensors(self.folder / "on" / "adapter_model.safetensors"))
        # A model has its parameters once.
        self.fails(2, "eval", "--model", model, "--data", self.data, "--adapter", f"{adapter}:0.5", says=("parameters of the base", "weight of 1"))
        self.fails(2, "eval", "--model", model, "--data", self.data, "--adapter", adapter, "--adapter", self.folder / "on", says=("at most one",))

    def test_biases_of_adapted_maps_alone(self):
        model, adapter = self.untied(), self.folder / "adapter"
        done = self.train(model, adapter, "--bias", "lora_only", "--target", "q_proj")
        self.assertEqual(0, done.returncode, done.stderr)
        names = [name for name in read_safetensors(adapter / "adapter_model.safetensors") if name.endswith(".bias")]
        self.assertEqual([f"{PREFIX}model.layers.{i}.self_attn.q_proj.base_layer.bias" for i in (0, 1)], sorted(names))

    def test_a_tied_embedding_is_untied_in_use_and_not_merged(self):
        adapter = self.folder / "adapter"
        done = self.train(self.model, adapter, "--modules-to-save", "embed_tokens")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertLess(self.loss("--model", self.model, "--adapter", adapter), self.loss("--model", self.model))
        self.fails(3, "merge", "--model", self.model, "--adapter", adapter, "--output", self.folder / "merged", says=("head", "tied"))

    def test_a_name_that_is_no_module(self):
        self.assertEqual(3, self.train(self.model, self.folder / "o", "--modules-to-save", "nowhere").returncode)
        self.fails(2, "train", "--model", self.model, "--data", self.data, "--output", self.folder / "o", "--full", "--bias", "all", says=("--bias", "--full"))
