import json, struct

from support import CliTest, floats, read_safetensors, write_safetensors


def bf16(values): return b"".join(struct.pack("<f", x)[2:] for x in floats(values))  # cut, not rounded: other values than the base's


class Extract(CliTest):
    def setUp(self):
        super().setUp()
        self.tuned = self.folder / "tuned"
        self.ok("merge", "--model", self.model, "--adapter", self.adapter, "--output", self.tuned)

    def words(self, *more, rank=4, output="out", tuned=None):
        return ["extract", "--model", self.model, "--tuned", tuned or self.tuned, "--rank", rank, "--output", self.folder / output, *more]

    def change(self, name, new, folder=None):
        path = (folder or self.tuned) / "model.safetensors"
        tensors = read_safetensors(path)
        tensors[name] = new(*tensors[name])
        write_safetensors(path, tensors)

    def test_a_merged_adapter_comes_back(self):
        report = self.json(*self.words())
        self.assertEqual(["output", "rank", "modules", "norm", "error", "worst", "left"], list(report))
        self.assertEqual((4, 14, []), (report["rank"], report["modules"], report["left"]))
        self.assertLess(report["error"], 1e-5)
        self.assertAlmostEqual(self.loss("--model", self.tuned), self.loss("--model", self.model, "--adapter", self.folder / "out"), places=5)
        self.assertIn("base_model_hash: ", (self.folder / "out/README.md").read_text())
        less = self.json(*self.words(rank=1, output="one"))
        self.assertGreater(less["error"], 0.01)
        self.assertGreaterEqual(less["worst"]["error"], less["error"])

    def test_weights_that_are_stored_transposed(self):
        config = {"model_type": "gpt2", "vocab_size": 260, "n_embd": 24, "n_layer": 1, "n_head": 2, "n_positions": 64}
        (self.folder / "config.json").write_text(json.dumps(config))
        model, adapter, tuned = (self.folder / name for name in ("gpt2", "gpt2-adapter", "gpt2-tuned"))
        common = ["--data", self.data, "--steps", 3, "--lr", 1e-2]
        self.ok("pretrain", "--config-json", self.folder / "config.json", "--output", model, *common)
        self.ok("train", "--model", model, "--output", adapter, "--rank", 3, "--alpha", 7, "--target", "all-linear", *common)
        self.ok("merge", "--model", model, "--adapter", adapter, "--output", tuned)
        report = self.json("extract", "--model", model, "--tuned", tuned, "--rank", 3, "--output", self.folder / "out")
        self.assertLess(report["error"], 1e-4)
        self.assertAlmostEqual(self.loss("--model", tuned), self.loss("--model", model, "--adapter", self.folder / "out"), places=5)

    def test_what_has_no_place_is_listed(self):
        self.change("model.norm.weight", lambda dtype, shape, values: (dtype, shape, struct.pack("<f", floats(values)[0] + 0.5) + values[4:]))
        report = self.json(*self.words("--target", "q_proj,v_proj"))
        self.assertEqual(4, report["modules"])
        left = {tensor["name"]: tensor for tensor in report["left"]}
        self.assertEqual(11, len(left))
        self.assertAlmostEqual(0.5, left["model.norm.weight"]["norm"], places=6)
        self.assertEqual("no linear map", left["model.norm.weight"]["why"])
        self.assertEqual("not among --target", left["model.layers.0.mlp.up_proj.weight"]["why"])
        self.assertEqual(sorted((t["norm"] for t in report["left"]), reverse=True), [t["norm"] for t in report["left"]])
        config = json.loads((self.folder / "out/adapter_config.json").read_text())
        self.assertEqual(4, len(config["target_modules"]))
        text = self.ok(*self.words(output="again"))
        self.assertIn("not in the adapter, of what differs: 1 tensor ", text)
        self.assertIn("model.norm.weight  0.5 ", text)

    def test_other_dtypes_and_shards(self):
        tensors = read_safetensors(self.tuned / "model.safetensors")
        half = {n: ("BF16", shape, bf16(values)) for n, (_, shape, values) in tensors.items()}
        for untouched in ("model.norm.weight", "model.embed_tokens.weight"): half[untouched] = tensors[untouched]
        names = sorted(half)
        (self.tuned / "model.safetensors").unlink()
        for i, part in enumerate((names[::2], names[1::2])): write_safetensors(self.tuned / f"s{i}.safetensors", {n: half[n] for n in part})
        (self.tuned / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {n: f"s{i % 2}.safetensors" for i, n in enumerate(names)}}))
        report = self.json(*self.words())
        self.assertLess(report["error"], 0.2)
        left = {tensor["name"] for tensor in report["left"]}
        self.assertNotIn("model.norm.weight", left)

    def test_a_base_in_bf16_equals_itself_in_f32(self):
        path = self.copy_model("wide")
        base = {n: ("BF16", shape, bf16(values)) for n, (_, shape, values) in read_safetensors(self.model / "model.safetensors").items()}
        write_safetensors(path / "model.safetensors", {n: ("F32", shape, b"".join(b"\0\0" + v[i:i + 2] for i in range(0, len(v), 2))) for n, (_, shape, v) in base.items()})
        narrow = self.copy_model("narrow")
        write_safetensors(narrow / "model.safetensors", base)
        self.fails(3, "extract", "--model", narrow, "--tuned", path, "--output", self.folder / "o", says="found the same in all of them")
        self.fails(3, "extract", "--model", path, "--tuned", narrow, "--output", self.folder / "o", says="found the same in all of them")

    def test_what_is_refused(self):
        self.fails(3, *self.words("--target", "nothing"), says="nothing")
        self.fails(2, *self.words(output="tuned/"), says="--output")
        self.fails(4, *self.words(tuned=self.adapter), says="config.json")
        self.change("model.layers.1.mlp.up_proj.weight", lambda dtype, shape, values: (dtype, shape, b"\0\0\xc0\x7f" + values[4:]))
        self.fails(5, *self.words(), says=("tuned: model.layers.1.mlp.up_proj.weight", "NaN or Inf"))
        other = self.copy_model("other")
        config = json.loads((other / "config.json").read_text())
        (other / "config.json").write_text(json.dumps({**config, "model_type": "mistral"}))
        self.fails(3, *self.words(tuned=other), says=('expected a model like the base, "llama", found "mistral"'))
