"""transformers reads the models that we wrote, and computes what we do. Needs a Python that has it: LORAGRAD_PYTHON.

Adapters and what they merge into are compared by tests/peft."""
import json, pathlib, subprocess, unittest

from support import PYTHON, SHARED, CliTest, needs_python

FAMILIES = ["opt", "gpt2", "llama"]
# argv: MODEL ROWS OURS -> the largest difference of the logits, row by row
COMPARE = """
import json, sys, torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
model, info = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
assert not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
model.eval()
ours, worst = load_file(sys.argv[3]), 0.0
with torch.no_grad():
    for i, line in enumerate(open(sys.argv[2])):
        theirs = model(input_ids=torch.tensor([json.loads(line)["input_ids"]])).logits[0]
        worst = max(worst, (theirs - ours[f"row.{i}"]).abs().max().item())
print(worst)
"""


@needs_python
@unittest.skipUnless((SHARED / "golden").is_dir(), f"SKIPPED: no folder of shared goldens at {SHARED} (LORAGRAD_SHARED)")
class Transformers(CliTest):
    def same_logits(self, model, rows):
        ours = self.folder / "logits.safetensors"
        self.ok("eval", "--model", model, "--data", rows, "--logits", ours)
        done = subprocess.run([PYTHON, "-c", COMPARE, str(model), str(rows), str(ours)], capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertLess(float(done.stdout.split()[-1]), 2e-4)

    def test_the_text_part_of_a_model_that_reads_images(self):
        golden = pathlib.Path(__file__).parents[1] / "models" / "golden" / "gemma3-images"
        model, rows = golden / "model", golden / "rows.jsonl"
        common = ["train", "--model", model, "--data", rows, "--steps", 6, "--lr", 1e-2]
        self.ok(*common, "--output", self.folder / "adapter", "--rank", 3, "--alpha", 7, "--target", "q_proj,v_proj")
        self.ok("merge", "--model", model, "--adapter", self.folder / "adapter", "--output", self.folder / "merged")
        self.same_logits(self.folder / "merged", rows)
        self.ok(*common, "--output", self.folder / "full", "--full")
        self.same_logits(self.folder / "full", rows)

    def test_all_parameters_trained(self):
        for name in FAMILIES:
            with self.subTest(name):
                golden, out = SHARED / "golden" / "families" / name, self.folder / name
                self.ok("train", "--model", golden / "model", "--data", golden / "rows.jsonl", "--steps", 6, "--lr", 1e-2, "--full", "--output", out)
                self.same_logits(out, golden / "rows.jsonl")

    def test_pretrained_folders(self):
        for name in FAMILIES:
            with self.subTest(name):
                golden, out = SHARED / "golden" / "families" / name, self.folder / name
                config = {**json.loads((golden / "model" / "config.json").read_text()), "vocab_size": 257, "eos_token_id": 256, "bos_token_id": 256}
                (self.folder / "config.json").write_text(json.dumps(config))
                self.ok("pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--output", out, "--steps", 3, "--seq-len", 32)
                self.same_logits(out, golden / "rows.jsonl")
                words = "import sys; from transformers import AutoTokenizer; print(AutoTokenizer.from_pretrained(sys.argv[1])('Zoë')['input_ids'])"
                done = subprocess.run([PYTHON, "-c", words, str(out)], capture_output=True, text=True)
                self.assertEqual("[90, 111, 195, 171]", done.stdout.strip(), done.stderr)
