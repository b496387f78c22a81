"""An adapter on the token embedding, and tokens whose rows are trained, through the commands. The model is tied."""
import json

from support import CliTest, floats, read_safetensors, write_safetensors

EMBEDDING = "model.embed_tokens"
PREFIX = f"base_model.model.{EMBEDDING}."
ROWS = PREFIX + "token_adapter.trainable_tokens_delta"


class Embeddings(CliTest):
    def words(self, output, *more, steps=10):
        return ["train", "--model", self.model, "--data", self.data, "--output", output, "--rank", 4, "--alpha", 12, "--lr", 1e-2, "--steps", steps, *more]

    def train(self, output, *more, **options): return self.json(*self.words(output, *more, **options))

    def tensors(self, folder): return read_safetensors(folder / "adapter_model.safetensors")

    def row(self, tensor, at):
        dtype, (_, width), values = tensor
        return floats(values)[at * width:(at + 1) * width]

    def test_an_adapter_of_the_embedding_is_trained_saved_used_and_merged(self):
        for more in ((), ("--dora",)):
            with self.subTest(more):
                name = "".join(more) or "plain"
                adapter, merged = self.folder / f"adapter{name}", self.folder / f"merged{name}"
                trained = self.train(adapter, "--target", "embed_tokens,q_proj", *more)
                a = 4 * (260 + 32) + 2 * 4 * (32 + 32)
                self.assertEqual(a + (3 * 32 if more else 0), trained["trainable_parameters"])
                tensors = self.tensors(adapter)
                self.assertEqual([4, 260], tensors[PREFIX + "lora_embedding_A"][1])
                self.assertEqual([32, 4], tensors[PREFIX + "lora_embedding_B"][1])
                self.assertNotIn(PREFIX + "base_layer.weight", tensors)
                base, beside = self.loss("--model", self.model), self.loss("--model", self.model, "--adapter", adapter)
                self.assertLess(beside, base)
                # Merged, the head keeps what the embedding was.
                report = self.json("merge", "--model", self.model, "--adapter", adapter, "--output", merged)
                self.assertLess(report["largest_logit_difference"], 1e-4)
                self.assertAlmostEqual(beside, self.loss("--model", merged), places=5)
                self.assertIs(False, json.loads((merged / "config.json").read_text())["tie_word_embeddings"])
                old, new = (read_safetensors(folder / "model.safetensors") for folder in (self.model, merged))
                self.assertEqual(old[EMBEDDING + ".weight"], new["lm_head.weight"])
                self.assertNotEqual(old[EMBEDDING + ".weight"], new[EMBEDDING + ".weight"])
                self.check_uses(adapter, merged, name)

    def test_the_same_bits_for_any_number_of_threads(self):
        flags = ("--target", "embed_tokens,v_proj", "--loraplus-ratio", 4)
        for threads in (1, 3): self.train(self.folder / str(threads), *flags, "--threads", threads, steps=5)
        one, three = (self.tensors(self.folder / str(n)) for n in (1, 3))
        self.assertEqual(one, three)
        # LoRA+ moves the embedding's by 1e-6 a step.
        largest = max(map(abs, floats(one[PREFIX + "lora_embedding_A"][2])))
        self.assertTrue(0 < largest < 5.1e-6, largest)

    def test_what_an_adapter_of_the_embedding_does_not_go_with(self):
        out = self.folder / "o"
        self.fails(2, *self.words(out, "--target", "embed_tokens", "--lora-bias"), says=("lora_bias", "embedding"))
        self.fails(2, *self.words(out, "--target", "embed_tokens", "--init", "pissa"), says=("init_lora_weights", "embedding", "pissa"))
        self.fails(3, *self.words(out, "--target", "embed_tokens", "--trainable-tokens", "5"), says=("--trainable-tokens: ", EMBEDDING, "adapted too"))
        self.train(self.folder / "a", "--target", "embed_tokens", steps=1)
        # The base's table may lie in the file, if it is the base's.
        path = self.folder / "a" / "adapter_model.safetensors"
        tensors, table = self.tensors(self.folder / "a"), read_safetensors(self.model / "model.safetensors")[EMBEDDING + ".weight"]
        write_safetensors(path, {**tensors, PREFIX + "base_layer.weight": table})
        self.loss("--model", self.model, "--adapter", self.folder / "a")
        write_safetensors(path, {**tensors, PREFIX + "base_layer.weight": (*table[:2], bytes(len(table[2])))})
        self.fails(3, "eval", "--model", self.model, "--data", self.data, "--adapter", self.folder / "a", says=("base_layer.weight", "values"))

    def test_tokens_are_trained_in_both_of_a_tied_model_and_stay_tied(self):
        adapter, merged = self.folder / "adapter", self.folder / "merged"
        e, t = ord("e"), ord("t")
        trained = self.train(adapter, "--target", "q_proj", "--trainable-tokens", f"{t},e")
        self.assertEqual(2 * 4 * (32 + 32) + 2 * 32, trained["trainable_parameters"])
        config = json.loads((adapter / "adapter_config.json").read_text())
        ids = config["trainable_token_indices"]
        self.assertEqual(2, len(ids))
        self.assertEqual(2, self.json("inspect", adapter)["trainable_tokens"])
        rows, base = self.tensors(adapter)[ROWS], read_safetensors(self.model / "model.safetensors")[EMBEDDING + ".weight"]
        self.assertEqual([2, 32], rows[1])
        for k, id in enumerate(ids):  # they began as the base's, and have moved at most by the rate a step
            moved = max(abs(x - y) for x, y in zip(self.row(rows, k), self.row(base, id), strict=True))
            self.assertTrue(1e-4 < moved < 0.11, moved)
        alone, beside = self.loss("--model", self.model), self.loss("--model", self.model, "--adapter", adapter)
        self.assertLess(beside, alone)
        report = self.json("merge", "--model", self.model, "--adapter", adapter, "--output", merged)
        self.assertLess(report["largest_logit_difference"], 1e-4)
        self.assertAlmostEqual(beside, self.loss("--model", merged), places=5)
        new = read_safetensors(merged / "model.safetensors")
        self.assertNotIn("lm_head.weight", new)
        self.assertIs(True, json.loads((merged / "config.json").read_text())["tie_word_embeddings"])
        for id in range(260):
            wanted = self.row(rows, ids.index(id)) if id in ids else self.row(base, id)
            self.assertEqual(wanted, self.row(new[EMBEDDING + ".weight"], id))
        words = ["--prompt", "the", "--max-tokens", 8, "--temperature", 0]
        self.assertEqual(self.json("generate", "--model", self.model, "--adapter", adapter, *words)["ids"], self.json("generate", "--model", merged, *words)["ids"])
        # Training goes on from it; a rate of zero changes nothing.
        self.ok("train", "--model", self.model, "--data", self.data, "--init-adapter", adapter, "--output", self.folder / "on", "--steps", 1, "--lr", 0)
        self.assertEqual(self.tensors(adapter), self.tensors(self.folder / "on"))
        self.fails(2, "eval", "--model", self.model, "--data", self.data, "--adapter", f"{adapter}:0.5", says=("trainable_tokens_delta", "weight of 1"))

    def test_what_is_wrong_with_trained_tokens(self):
        out = self.folder / "o"
        def refused(code, tokens, *more, says): self.fails(code, *self.words(out, "--trainable-tokens", tokens, *more), says=says)
        refused(2, "5,5", says=("--trainable-tokens: ", "5 twice"))
        refused(2, "5,,6", says=("--trainable-tokens", "commas"))
        refused(3, "260", says=("--trainable-tokens: ", "below 260", "260"))
        refused(3, "the cat", says=("--trainable-tokens", "one token", "the cat"))
        refused(3, "5", "--modules-to-save", "embed_tokens", says=("--trainable-tokens: ", "modules_to_save"))
        self.fails(2, "train", "--model", self.model, "--data", self.data, "--output", out, "--full", "--trainable-tokens", "5", says=("--trainable-tokens", "--full"))
        adapter = self.folder / "adapter"
        self.train(adapter, "--trainable-tokens", "5,6", steps=1)
        path = adapter / "adapter_config.json"
        config = json.loads(path.read_text())
        for tokens, says in (({"embed_tokens": [5, 6], "lm_head": [6, 5]}, ("missing", "lm_head")), ({"lm_head": [5, 6]}, ("lm_head",)), ({"q_proj": [5, 6]}, ("q_proj",)),
                             ([5, 400], ("below 260", "400")), ([5], ("trainable_tokens_delta", "[1, width]")), ([5, -1], ("trainable_token_indices", "-1"))):
            path.write_text(json.dumps({**config, "trainable_token_indices": tokens}))
            self.fails(3, "eval", "--model", self.model, "--data", self.data, "--adapter", adapter, says=says)
        path.write_text(json.dumps({**config, "trainable_token_indices": {"embed_tokens": [5, 6], "lm_head": [5, 6]}}))
        self.loss("--model", self.model, "--adapter", adapter)

    def test_ranks_and_alphas_of_single_modules(self):
        adapter = self.folder / "adapter"
        self.train(adapter, "--target", "embed_tokens,q_proj,v_proj", "--rank-pattern", r"embed_tokens=2,layers\.1\..*q_proj=7", "--alpha-pattern", "v_proj=3.5")
        config = json.loads((adapter / "adapter_config.json").read_text())
        self.assertEqual({"embed_tokens": 2, r"layers\.1\..*q_proj": 7}, config["rank_pattern"])
        self.assertEqual({"v_proj": 3.5}, config["alpha_pattern"])
        tensors = self.tensors(adapter)
        self.assertEqual([2, 260], tensors[PREFIX + "lora_embedding_A"][1])
        self.assertEqual([4, 7], [tensors[f"base_model.model.model.layers.{i}.self_attn.q_proj.lora_A.weight"][1][0] for i in (0, 1)])
        out = self.folder / "o"
        self.fails(2, *self.words(out, "--rank-pattern", "q_proj"), says=("--rank-pattern", "q_proj"))
        self.fails(2, *self.words(out, "--rank-pattern", "q_proj=0"), says="--rank-pattern q_proj: expected an integer in [1, 65536], found 0")
        self.fails(2, *self.words(out, "--rank-pattern", "q_proj=99999999999"), says="--rank-pattern q_proj: expected an integer in [1, 65536]")
        self.fails(2, *self.words(out, "--alpha-pattern", "q_proj=x"), says=("--alpha-pattern", "q_proj=x"))
        self.fails(2, *self.words(out, "--rank-pattern", "(=3"), says="--rank-pattern")
        self.fails(3, *self.words(out, "--rank-pattern", "k_proj=3"), says=("--rank-pattern", "k_proj", "matches none"))
