import math

from support import CliTest, TEXTS, floats, read_safetensors, write_rows


class Eval(CliTest):
    def words(self, *more): return ["eval", "--model", self.model, "--data", self.data, *more]

    def test_the_report(self):
        report = self.json(*self.words())
        self.assertEqual(["loss", "perplexity", "supervised_tokens", "tokens", "rows", "seconds"], list(report))
        self.assertEqual(4, report["rows"])
        self.assertEqual(sum(len(t.encode()) + 1 for t in TEXTS[:4]), report["tokens"])
        self.assertEqual(report["tokens"] - 4, report["supervised_tokens"])
        self.assertAlmostEqual(math.exp(report["loss"]), report["perplexity"], places=9)
        self.assertIn(f"{report['loss']:.6f}", self.ok(*self.words()))

    def test_split_and_tokens_per_batch(self):
        self.assertEqual(2, self.json(*self.words("--split", "test"))["rows"])
        loss = self.json(*self.words("--split", "train"))["loss"]
        self.assertAlmostEqual(loss, self.json(*self.words("--split", "train", "--tokens-per-batch", 1))["loss"], places=6)

    def test_adapters_and_weights(self):
        base, whole, half, none, twice = (self.json(*self.words(*a))["loss"] for a in (
            [], ["--adapter", self.adapter], ["--adapter", f"{self.adapter}:0.5"], ["--adapter", f"{self.adapter}:0"],
            ["--adapter", f"{self.adapter}:0.5", "--adapter", f"{self.adapter}:0.5"]))
        self.assertEqual(base, none)
        self.assertLess(whole, base)
        self.assertNotAlmostEqual(half, whole, places=4)
        self.assertAlmostEqual(twice, whole, places=5)
        self.fails(2, *self.words("--adapter", f"{self.adapter}:nan"), says=("--adapter", "nan"))
        self.fails(4, *self.words("--adapter", self.folder / "missing"), says="missing")
        self.fails(4, *self.words("--adapter", self.data), says="adapter_config.json")

    def test_logits_give_the_loss(self):
        rows = write_rows(self.folder / "rows.jsonl", [{"input_ids": [5, 6, 7, 8]}, {"input_ids": [9, 1]}])
        file = self.folder / "logits.safetensors"
        loss = self.json("eval", "--model", self.model, "--data", rows, "--logits", file)["loss"]
        tensors = read_safetensors(file)
        self.assertEqual({"row.0": ("F32", [4, 260]), "row.1": ("F32", [2, 260])}, {n: t[:2] for n, t in tensors.items()})
        sum_, count = 0.0, 0
        for name, ids in (("row.0", [5, 6, 7, 8]), ("row.1", [9, 1])):
            values = floats(tensors[name][2])
            for t, target in enumerate(ids[1:]):
                z = values[t * 260:(t + 1) * 260]
                sum_ += math.log(sum(map(math.exp, z))) - z[target]
                count += 1
        self.assertAlmostEqual(sum_ / count, loss, places=5)

    def test_logits_replace_logits_only(self):
        file = self.folder / "logits.safetensors"
        for _ in range(2): self.ok(*self.words("--logits", file))
        model = self.copy_model()
        before = (model / "model.safetensors").read_bytes()
        self.fails(4, *self.words("--logits", model / "model.safetensors"), says="model.safetensors")
        self.assertEqual(before, (model / "model.safetensors").read_bytes())
        self.fails(4, *self.words("--logits", self.folder / "no" / "file"), says=self.folder / "no")

    def test_an_adapter_of_another_base(self):
        import json
        config = {**json.loads((self.samples / "config.json").read_text()), "hidden_size": 16}
        (self.folder / "config.json").write_text(json.dumps(config))
        self.ok("pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--output", self.folder / "small", "--steps", 1)
        self.fails(3, "eval", "--model", self.folder / "small", "--adapter", self.adapter, "--data", self.data, says="lora_A")
