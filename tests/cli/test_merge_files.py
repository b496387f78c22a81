"""The files of a merged model: all that transformers needs, in as many files as asked for."""
import json, subprocess

from support import PYTHON, CliTest, floats, needs_python, read_safetensors, write_safetensors

INDEX = "model.safetensors.index.json"
LOGITS = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
ids = tokenizer("Ann saw the cat.")["input_ids"]
with torch.no_grad(): logits = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="auto")(torch.tensor([ids])).logits[0]
print(json.dumps({"ids": ids, "logits": logits.flatten().tolist(), "template": tokenizer.chat_template}))
"""


class MergeFiles(CliTest):
    def merge(self, *more, model=None, output="merged"):
        self.ok("merge", "--model", model or self.model, "--adapter", self.adapter, "--output", self.folder / output, *more)
        return self.folder / output

    def test_several_files(self):
        whole, parts = self.merge(output="whole"), self.merge("--shard-size", "20KB")
        index = json.loads((parts / INDEX).read_text())
        files = sorted(set(index["weight_map"].values()))
        self.assertGreater(len(files), 2)
        self.assertEqual([f"model-{i + 1:05}-of-{len(files):05}.safetensors" for i in range(len(files))], files)
        expected, found = read_safetensors(whole / "model.safetensors"), {}
        for file in files:
            tensors = read_safetensors(parts / file)
            self.assertTrue(all(index["weight_map"][name] == file for name in tensors))
            self.assertTrue(len(tensors) == 1 or sum(len(values) for _, _, values in tensors.values()) <= 20000)
            found |= tensors
        self.assertEqual(expected, found)
        self.assertEqual(sum(len(values) for _, _, values in expected.values()), index["metadata"]["total_size"])
        self.assertEqual({p.name for p in whole.iterdir()} - {"model.safetensors"}, {p.name for p in parts.iterdir()} - {INDEX, *files})
        losses = [self.json("eval", "--model", model, "--data", self.data)["loss"] for model in (whole, parts)]
        self.assertEqual(*losses)
        # It is an earlier output as any other, and a base.
        self.ok("merge", "--model", parts, "--adapter", self.adapter, "--output", self.folder / "again", "--shard-size", "1GB")
        self.assertFalse((self.folder / "again" / INDEX).exists())
        self.merge("--overwrite", "--shard-size", "50KB")
        self.fails(2, "merge", "--model", self.model, "--adapter", self.adapter, "--output", self.folder / "o", "--shard-size", "0", says="--shard-size")

    def test_what_comes_along(self):
        model = self.copy_model()
        for name in ("chat_template.jinja", "preprocessor_config.json", "added_tokens.json"): (model / name).write_text("{}")
        merged = self.merge(model=model)
        own = {p.name for p in model.iterdir()} - {"metrics.jsonl", "run.yaml"}
        self.assertEqual(own, {p.name for p in merged.iterdir()})
        for path in merged.iterdir():
            if path.name not in ("README.md", "model.safetensors"): self.assertEqual((model / path.name).read_bytes(), path.read_bytes())

    def test_a_head_that_repeats_its_embedding(self):
        model = self.copy_model()
        tensors = read_safetensors(model / "model.safetensors")
        write_safetensors(model / "model.safetensors", {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"]})
        self.assertEqual(set(tensors), set(read_safetensors(self.merge(model=model) / "model.safetensors")))
        # Another than the embedding is a parameter of its own.
        dtype, shape, values = tensors["model.embed_tokens.weight"]
        write_safetensors(model / "model.safetensors", {**tensors, "lm_head.weight": (dtype, shape, values[:-4] + b"\0\0\x80\x3f")})
        self.assertIn("lm_head.weight", read_safetensors(self.merge(model=model, output="untied") / "model.safetensors"))

    @needs_python
    def test_transformers_loads_it(self):
        model = self.copy_model()
        (model / "chat_template.jinja").write_text("{{ messages[0].content }}")
        merged = self.merge("--shard-size", "30KB", model=model)
        done = subprocess.run([PYTHON, "-c", LOGITS, str(merged)], capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
        theirs = json.loads(done.stdout)
        self.assertEqual("{{ messages[0].content }}", theirs["template"])
        (self.folder / "row.jsonl").write_text(json.dumps({"input_ids": theirs["ids"]}) + "\n")
        self.ok("eval", "--model", model, "--adapter", self.adapter, "--data", self.folder / "row.jsonl", "--logits", self.folder / "l.safetensors", "--precision", "f32")
        ours = floats(read_safetensors(self.folder / "l.safetensors")["row.0"][2])
        self.assertEqual(len(ours), len(theirs["logits"]))
        self.assertLess(max(abs(a - b) for a, b in zip(ours, theirs["logits"])), 2e-4)
