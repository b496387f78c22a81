import json

from support import CONFIG, CliTest, TEXTS


class Pretrain(CliTest):
    def words(self, config=None, *more, output="out"):
        (self.folder / "config.json").write_text(json.dumps(config or CONFIG))
        return ["pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--output", self.folder / output, "--steps", 2, *more]

    def test_it_learns_and_writes_a_model_folder(self):
        self.assertEqual(["README.md", "config.json", "generation_config.json", "metrics.jsonl", "model.safetensors", "run.yaml", "tokenizer.json", "tokenizer_config.json"],
                         sorted(p.name for p in self.model.iterdir()))
        rows = self.metrics(self.model)
        self.assertLess(rows[-1]["loss"], 0.75 * rows[0]["loss"])
        config = json.loads((self.model / "config.json").read_text())
        self.assertEqual({**CONFIG, "architectures": ["LlamaForCausalLM"], "bos_token_id": None, "eos_token_id": 256, "dtype": "float32"}, config)
        self.assertEqual({"eos_token_id": 256}, json.loads((self.model / "generation_config.json").read_text()))

    def test_every_family(self):
        small = {"vocab_size": 257, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64, "hidden_size": 16}
        for config in ({**small, "model_type": "opt", "ffn_dim": 32, "word_embed_proj_dim": 16},
                       {"model_type": "gpt2", "vocab_size": 257, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}):
            with self.subTest(config["model_type"]):
                out = config["model_type"]
                self.ok(*self.words(config, output=out))
                self.ok("train", "--model", self.folder / out, "--data", self.data, "--output", self.folder / f"{out}-adapter", "--steps", 2)
                self.ok("merge", "--model", self.folder / out, "--adapter", self.folder / f"{out}-adapter", "--output", self.folder / f"{out}-merged")
                self.ok("generate", "--model", self.folder / f"{out}-merged", "--prompt", "A", "--max-tokens", 3)

    def test_with_a_tokenizer(self):
        given = self.model / "tokenizer.json"
        self.ok(*self.words({**CONFIG, "eos_token_id": 256}, "--tokenizer", given))
        self.assertEqual(given.read_bytes(), (self.folder / "out" / "tokenizer.json").read_bytes())
        # The bytes tokenizer and the file it is written as are one and the same.
        self.ok(*self.words(None, output="bytes"))
        a, b = ((self.folder / n / "model.safetensors").read_bytes() for n in ("out", "bytes"))
        self.assertEqual(a, b)

    def test_a_text_file(self):
        (self.folder / "all.txt").write_text("\n".join(TEXTS))
        words = self.words()
        words[words.index("--data") + 1] = self.folder / "all.txt"
        self.assertEqual(2, self.json(*words, "--seq-len", 32)["steps"])

    def test_what_does_not_fit(self):
        for change, code, says in (({"vocab_size": 200}, 3, "vocab_size"), ({"eos_token_id": 999}, 3, "eos_token_id"), ({"model_type": "bert"}, 3, "bert"), ({"hidden_size": "32"}, 3, "hidden_size"),
                                   ({"num_attention_heads": 5}, 3, "num_attention_heads"), ({"num_hidden_layers": 10**9}, 3, "num_hidden_layers"),
                                   ({"hidden_size": 2**30}, 3, "hidden_size"), ({"vocab_size": 2 * 10**9}, 3, "parameters"), ({"intermediate_size": 2**31 - 1}, 3, "parameters")):
            with self.subTest(change):
                words = self.words({**CONFIG, **change})
                self.fails(code, *words, says=("config.json", says))
        words = self.words()
        (self.folder / "config.json").write_text("{")
        self.fails(3, *words, says="config.json")
        (self.folder / "config.json").unlink()
        self.fails(4, *words, says="config.json")
