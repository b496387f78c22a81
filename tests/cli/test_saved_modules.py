"""Parameters of the base trained beside an adapter: --modules-to-save and --bias."""
import json, struct

from support import CONFIG, CliTest, floats, read_safetensors, run, write_safetensors

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

    def test_a_tied_head_and_its_embedding_are_two_once_one_is_trained(self):
        base = read_safetensors(self.model / "model.safetensors")
        head, embedding = "lm_head.weight", "model.embed_tokens.weight"
        self.assertNotIn(head, base)
        stored = self.copy_model("stored")  # a tied model whose head is stored all the same
        write_safetensors(stored / "model.safetensors", {**base, head: base[embedding]})
        alone = self.copy_model("alone")  # ... and its embedding is not
        write_safetensors(alone / "model.safetensors", {**{n: t for n, t in base.items() if n != embedding}, head: base[embedding]})
        for name, other in ((embedding, head), (head, embedding)):
            with self.subTest(name):
                adapter = self.folder / name
                done = self.train(self.model, adapter, "--modules-to-save", name.removesuffix(".weight"))
                self.assertEqual(0, done.returncode, done.stderr)
                beside = self.loss("--model", self.model, "--adapter", adapter)
                self.assertLess(beside, self.loss("--model", self.model))
                for model in (self.model, stored, alone):
                    merged = self.folder / f"{name}-{model.name}"
                    report = self.json("merge", "--model", model, "--adapter", adapter, "--output", merged)
                    self.assertLess(report["largest_logit_difference"], 1e-4)
                    self.assertGreater(report["largest_adapter_effect"], 1e-2)
                    self.assertIs(False, json.loads((merged / "config.json").read_text())["tie_word_embeddings"])
                    tensors = read_safetensors(merged / "model.safetensors")
                    self.assertEqual(base[embedding], tensors[other])
                    self.assertEqual(read_safetensors(adapter / "adapter_model.safetensors")[PREFIX + name], tensors[name])
                    self.assertAlmostEqual(beside, self.loss("--model", merged), places=5)

    def test_the_head_of_gpt_neox_by_both_names(self):
        config = {"model_type": "gpt_neox", "vocab_size": 260, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
        (self.folder / "config.json").write_text(json.dumps(config))
        model, old, new = self.folder / "neox", self.folder / "old", self.folder / "new"
        self.ok("pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--output", model, "--steps", 2)
        for folder, name in ((old, "embed_out"), (new, "lm_head")):
            done = self.train(model, folder, "--modules-to-save", name)
            self.assertEqual(0, done.returncode, done.stderr)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            self.assertEqual((new / name).read_bytes(), (old / name).read_bytes())
        tensors = read_safetensors(new / "adapter_model.safetensors")
        self.assertIn(PREFIX + "lm_head.weight", tensors)
        # As PEFT wrote it before transformers 5.
        write_safetensors(old / "adapter_model.safetensors", {name.replace("lm_head", "embed_out"): tensor for name, tensor in tensors.items()})
        (old / "adapter_config.json").write_text((new / "adapter_config.json").read_text().replace("lm_head", "embed_out"))
        self.assertEqual(self.loss("--model", model, "--adapter", new), self.loss("--model", model, "--adapter", old))
        self.ok("merge", "--model", model, "--adapter", old, "--output", self.folder / "merged")
        self.assertAlmostEqual(self.loss("--model", model, "--adapter", new), self.loss("--model", self.folder / "merged"), places=5)
        self.assertEqual("lm_head", self.json("inspect", old)["modules_to_save"])

    def test_a_value_too_large_for_the_base_s_type_is_not_merged(self):
        model, adapter, name = self.copy_model(), self.folder / "adapter", "model.norm.weight"
        tensors = read_safetensors(model / "model.safetensors")
        tensors[name] = ("F16", [32], struct.pack("<32e", *floats(tensors[name][2])))
        write_safetensors(model / "model.safetensors", tensors)
        done = self.train(model, adapter, "--modules-to-save", "model.norm")
        self.assertEqual(0, done.returncode, done.stderr)
        tensors = read_safetensors(adapter / "adapter_model.safetensors")
        tensors[PREFIX + name] = ("F32", [32], struct.pack("<32f", 7e4, *[1] * 31))
        write_safetensors(adapter / "adapter_model.safetensors", tensors)
        self.fails(5, "merge", "--model", model, "--adapter", adapter, "--output", self.folder / "merged", says=(name, "NaN or Inf in f16"))

    def test_a_name_that_is_no_module(self):
        self.assertEqual(3, self.train(self.model, self.folder / "o", "--modules-to-save", "nowhere").returncode)
        self.fails(2, "train", "--model", self.model, "--data", self.data, "--output", self.folder / "o", "--full", "--bias", "all", says=("--bias", "--full"))
