import json

from support import CliTest


class Inspect(CliTest):
    def test_a_model(self):
        facts = self.json("inspect", self.model)
        self.assertEqual(("model", "llama", 2, 32, 260, 257, "q_proj,v_proj"), tuple(facts[k] for k in (
            "kind", "model_type", "layers", "hidden_size", "vocab_size", "tokenizer_vocab_size", "default_targets")))
        self.assertEqual({"F32": facts["parameters"]}, facts["dtypes"])
        self.assertEqual(4 * facts["parameters"], facts["bytes"])
        # 2 layers, q [32 -> 32] and v [32 -> 16], at rank 16.
        self.assertEqual(2 * 16 * (64 + 48), facts["trainable_at_rank_16"])
        self.assertIn("llama", self.ok("inspect", self.model))

    def test_an_adapter(self):
        facts = self.json("inspect", self.adapter)
        self.assertEqual(("adapter", 4, 12, 3, 28), tuple(facts[k] for k in ("kind", "rank", "alpha", "scaling", "tensors")))
        self.assertEqual(str(self.model), facts["base_model"])
        self.assertAlmostEqual(100 * facts["parameters"] / facts["all_parameters"], facts["trainable_percent"])

    def test_data(self):
        facts = self.json("inspect", self.data / "train.jsonl")
        self.assertEqual(("data", "text", 18), tuple(facts[k] for k in ("kind", "format", "rows")))
        self.assertEqual([18, 4, 2], [self.json("inspect", self.data)[split]["rows"] for split in ("train", "valid", "test")])
        (self.folder / "a.txt").write_text("one\ntwo\n")
        self.assertEqual(("txt", 2), tuple(self.json("inspect", self.folder / "a.txt")[k] for k in ("format", "lines")))

    def test_data_of_every_format(self):
        rows = {"messages": {"messages": [{"role": "user", "content": "a"}]}, "conversations": {"conversations": [{"from": "human", "value": "a"}]},
                "instruction/output": {"instruction": "a", "output": "b"}, "input_ids": {"input_ids": [1]}, "prompt/completion": {"prompt": "a", "completion": "b"}}
        for format, row in rows.items():
            path = self.folder / "rows.jsonl"
            path.write_text(json.dumps(row) + "\n")
            self.assertEqual((format, 1), (self.json("inspect", path)["format"], self.json("inspect", path)["rows"]))
        path.write_text(json.dumps(rows["messages"]) + "\n" + json.dumps(rows["input_ids"]) + "\n")
        self.fails(3, "inspect", path, says="expected a row of messages as the first one, not of input_ids")

    def test_a_safetensors_file(self):
        facts = self.json("inspect", self.adapter / "adapter_model.safetensors")
        self.assertEqual(("safetensors", 28, {"format": "pt"}), tuple(facts[k] for k in ("kind", "tensors", "metadata")))
        self.assertEqual("F32 [4, 32]", facts["contents"]["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"])

    def test_what_it_does_not_know(self):
        self.fails(4, "inspect", self.folder / "missing", says="missing")
        self.fails(3, "inspect", self.folder, says=self.folder)
        (self.folder / "a.bin").write_text("x")
        self.fails(3, "inspect", self.folder / "a.bin", says="a.bin")
        (self.folder / "b.safetensors").write_text("x")
        self.fails(3, "inspect", self.folder / "b.safetensors", says="b.safetensors")
        (self.folder / "c.jsonl").write_text('{"text": "a"}\n[1]\n')
        self.fails(3, "inspect", self.folder / "c.jsonl", says="c.jsonl:2")
