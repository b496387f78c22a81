"""config.json's dialects, and tied models that store their head: what the commands say and write."""
import json, pathlib, re, shutil, subprocess, unittest

from support import PYTHON, SHARED, CliTest, read_safetensors, run, write_safetensors

GOLDEN = pathlib.Path(__file__).parents[1] / "models" / "golden"
FAULTS = SHARED / "faults"
# argv: ROWS MODEL LOGITS MODEL LOGITS ... -> the largest difference of all
COMPARE = """
import json, sys, torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
rows, worst = [json.loads(line)["input_ids"] for line in open(sys.argv[1])], 0.0
for folder, logits in zip(sys.argv[2::2], sys.argv[3::2]):
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    ours = load_file(logits)
    with torch.no_grad():
        for i, ids in enumerate(rows): worst = max(worst, (model.eval()(input_ids=torch.tensor([ids])).logits[0] - ours[f"row.{i}"]).abs().max().item())
print(worst)
"""
EMBEDDING = {"opt": "model.decoder.embed_tokens.weight", "gpt2": "transformer.wte.weight", "llama3": "model.embed_tokens.weight"}


class Config(CliTest):
    def golden(self, name, rename=None, add=None, **config):
        """A copy of a golden model with changes, and its rows."""
        model = pathlib.Path(shutil.copytree(GOLDEN / name / "model", self.folder / f"{name}-model-{len(list(self.folder.iterdir()))}"))
        tensors = read_safetensors(model / "model.safetensors")
        if add: tensors |= add(tensors)
        write_safetensors(model / "model.safetensors", {rename(n) if rename else n: t for n, t in tensors.items()})
        path = model / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
        return model, GOLDEN / name / "rows.jsonl"

    def head_alone(self, name, bare):
        """Tied, the matrix under the head's name alone; `bare`: names without the family's prefix."""
        short = lambda n: re.sub(r"^(model|transformer)\.", "", n) if bare else n
        return self.golden(name, lambda n: "lm_head.weight" if n == EMBEDDING[name] else short(n))

    def loss(self, model, rows, *more): return self.json("eval", "--model", model, "--data", rows, "--precision", "f32", *more)["loss"]

    @unittest.skipUnless(FAULTS.is_dir(), f"SKIPPED: no folder of shared faults at {FAULTS} (LORAGRAD_SHARED)")
    def test_shared_faults(self):
        for name in ("rope-two-dialects", "tied-head-only"):
            with self.subTest(name):
                expected = json.loads((FAULTS / name / "expected.json").read_text())
                found = self.json("eval", "--model", FAULTS / name / "model", "--data", FAULTS / name / "rows.jsonl", "--precision", "f32")
                self.assertAlmostEqual(expected["loss"], found["loss"], delta=2e-6 * expected["loss"])
                self.assertEqual(expected["supervised_tokens"], found["supervised_tokens"])

    def test_a_tied_model_that_stores_its_head_alone(self):
        written = []
        for name in EMBEDDING:
            for bare in (False, True):
                with self.subTest(name, bare=bare):
                    model, rows = self.head_alone(name, bare)
                    base, out = GOLDEN / name / "model", self.folder / f"{name}-{bare}"
                    out.mkdir()
                    self.assertEqual(self.loss(base, rows), self.loss(model, rows))
                    facts = [self.json("inspect", m) for m in (base, model)]
                    for key in ("parameters", "tie_word_embeddings", "trainable_at_rank_16"): self.assertEqual(facts[0][key], facts[1][key])
                    forecasts = [self.json("check", "--model", m, "--data", rows, "--full")["predicted"] for m in (base, model)]
                    for key in ("weights", "trained", "optimiser", "activations"): self.assertEqual(forecasts[0][key], forecasts[1][key])
                    train = ("train", "--data", rows, "--steps", 4, "--lr", 1e-2)
                    self.ok(*train, "--model", model, "--output", out / "adapter")
                    self.ok("merge", "--model", model, "--adapter", out / "adapter", "--output", out / "merged")
                    self.assertAlmostEqual(self.loss(model, rows, "--adapter", out / "adapter"), self.loss(out / "merged", rows), places=5)
                    self.ok(*train, "--model", model, "--output", out / "full", "--full")
                    self.ok(*train, "--model", base, "--output", out / "same", "--full")
                    self.assertEqual((out / "same" / "model.safetensors").read_bytes(), (out / "full" / "model.safetensors").read_bytes())
                    written += [model, out / "merged", out / "full"]
        if PYTHON: self.loads_in_transformers(rows, written)

    def loads_in_transformers(self, rows, models):
        words = []
        for i, model in enumerate(models):
            logits = self.folder / f"{i}.safetensors"
            self.ok("eval", "--model", model, "--data", rows, "--precision", "f32", "--logits", logits)
            words += [model, logits]
        done = subprocess.run([PYTHON, "-c", COMPARE, *map(str, [rows, *words])], capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertLess(float(done.stdout.split()[-1]), 2e-4)

    def test_missing_matrices_are_named(self):
        for name, embedding in EMBEDDING.items():
            with self.subTest(name):
                model, rows = self.golden(name, tie_word_embeddings=False)
                self.fails(3, "eval", "--model", model, "--data", rows, says="found missing: lm_head.weight")
                model, rows = self.golden(name, lambda n: "lm_head.weight" if n == embedding else n, tie_word_embeddings=False)
                self.fails(3, "eval", "--model", model, "--data", rows, says=f"found missing: {embedding}")

    def test_a_head_of_its_own_beside_a_tied_embedding_is_told(self):
        def other(tensors):
            dtype, shape, values = tensors["model.embed_tokens.weight"]
            return {"lm_head.weight": (dtype, shape, values[4:] + values[:4])}
        model, rows = self.golden("llama3", add=other)
        train = ("train", "--data", rows, "--steps", 2, "--output", self.folder / "adapter", "--model")
        for words in (("eval", "--data", rows, "--model"), ("inspect",), ("check", "--data", rows, "--model"), train):
            with self.subTest(words[0]):
                told = [line for line in run(*words, model).stderr.splitlines() if line.startswith("warning: ")]
                self.assertEqual(1, len([line for line in told if "lm_head.weight: differs from model.embed_tokens.weight" in line]), told)

    def test_both_dialects_of_rope_and_what_has_no_effect(self):
        linear = {"type": "linear", "factor": 2, "beta": 1}
        model, rows = self.golden("llama", rope_scaling=linear, rope_theta=777.0)
        other = pathlib.Path(shutil.copytree(model, self.folder / "v5"))
        config = json.loads((other / "config.json").read_text())
        del config["rope_scaling"], config["rope_theta"]
        (other / "config.json").write_text(json.dumps({**config, "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 777.0}}))
        self.assertEqual(self.loss(other, rows), self.loss(model, rows))
        done = run("eval", "--model", model, "--data", rows)
        self.assertIn("config.json: rope_scaling.beta: has no effect with rope type linear\n", done.stderr)
        self.assertNotIn("config.json", run("eval", "--model", other, "--data", rows).stderr)

    def test_null_is_refused_where_transformers_refuses_it(self):
        model, rows = self.golden("opt", tie_word_embeddings=None)
        self.fails(3, "eval", "--model", model, "--data", rows, says="config.json: tie_word_embeddings: expected true or false, found null")
        config = {"model_type": "llama", "vocab_size": 257, "hidden_size": 64, "rope_theta": None}
        (self.folder / "config.json").write_text(json.dumps(config))
        self.fails(3, "pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--output", self.folder / "new", says="config.json: rope_theta: expected a finite number")
