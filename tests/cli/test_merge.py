import json, shutil

from support import CliTest, read_safetensors, write_safetensors


class Merge(CliTest):
    def words(self, *more, model=None, output="merged"):
        return ["merge", "--model", model or self.model, "--adapter", self.adapter, "--output", self.folder / output, *more]

    def test_merged_computes_what_the_adapter_did(self):
        report = self.json(*self.words())
        self.assertEqual(["output", "tensors", "merged", "largest_logit_difference", "largest_adapter_effect", "largest_logit", "kept", "sample_tokens"], list(report))
        self.assertEqual(14, report["merged"])
        self.assertLess(report["largest_logit_difference"], 1e-4)
        merged = self.folder / "merged"
        self.assertAlmostEqual(self.loss("--model", self.model, "--adapter", self.adapter), self.loss("--model", merged), places=5)
        self.assertNotAlmostEqual(self.loss("--model", self.model), self.loss("--model", merged), places=3)
        base, new = read_safetensors(self.model / "model.safetensors"), read_safetensors(merged / "model.safetensors")
        self.assertEqual({n: t[:2] for n, t in base.items()}, {n: t[:2] for n, t in new.items()})
        self.assertEqual(14, sum(base[n] != new[n] for n in base))
        for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
            self.assertEqual((self.model / name).read_bytes(), (merged / name).read_bytes())
        self.assertEqual([merged], list(self.folder.iterdir()))

    def test_weights_add_up(self):
        self.ok("merge", "--model", self.model, "--adapter", f"{self.adapter}:0.75", "--adapter", f"{self.adapter}:-0.25", "--output", self.folder / "two")
        self.assertAlmostEqual(self.loss("--model", self.model, "--adapter", f"{self.adapter}:0.5"), self.loss("--model", self.folder / "two"), places=5)

    def test_nan_is_refused_and_nothing_is_left(self):
        for name in ("model.layers.0.self_attn.q_proj.weight", "model.norm.weight"):
            with self.subTest(name):
                model = self.copy_model(name)
                tensors = read_safetensors(model / "model.safetensors")
                dtype, shape, values = tensors[name]
                tensors[name] = (dtype, shape, values[:4] + b"\0\0\x80\x7f" + values[8:])
                write_safetensors(model / "model.safetensors", tensors)
                self.fails(5, *self.words(model=model), says=name)
        bad = self.folder / "bad"
        shutil.copytree(self.adapter, bad)
        tensors = read_safetensors(bad / "adapter_model.safetensors")
        name = next(iter(tensors))
        tensors[name] = (*tensors[name][:2], b"\0\0\xc0\x7f" + tensors[name][2][4:])
        write_safetensors(bad / "adapter_model.safetensors", tensors)
        self.fails(3, "merge", "--model", self.model, "--adapter", bad, "--output", self.folder / "o", says=(bad, name))

    def test_a_weight_that_overflows_ends_the_file_that_was_begun(self):
        self.fails(5, "merge", "--model", self.model, "--adapter", f"{self.adapter}:1e39", "--output", self.folder / "o", says=("expected finite numbers in the merged weight, found NaN or Inf in f32",))

    def test_outputs_are_not_overwritten(self):
        self.ok(*self.words())
        self.fails(4, *self.words(), says="merged")
        self.ok(*self.words("--overwrite"))
        model = self.copy_model("own")
        self.fails(2, *self.words("--overwrite", model=model, output="own"), says="--output")

    def test_it_needs_an_adapter(self):
        self.fails(2, "merge", "--model", self.model, "--output", self.folder / "o", says=("--adapter", "required"))

    def test_old_buffers_and_names_without_prefix(self):
        model = self.copy_model()
        tensors = read_safetensors(model / "model.safetensors")
        short = {n.removeprefix("model."): t for n, t in tensors.items()}
        short["layers.0.self_attn.rotary_emb.inv_freq"] = ("I64", [1], b"\0" * 8)
        write_safetensors(model / "model.safetensors", short)
        self.assertEqual(14, self.json(*self.words(model=model))["merged"])
        merged = read_safetensors(self.folder / "merged" / "model.safetensors")
        self.assertEqual(set(short) - {"layers.0.self_attn.rotary_emb.inv_freq"}, set(merged))
