"""transformers and PEFT read what we wrote, and compute what we do. Needs a Python that has them: LORAGRAD_PYTHON."""
import json, subprocess, unittest

from support import PYTHON, SHARED, CliTest, needs_python

FAMILIES = ["opt", "gpt2", "llama"]
# argv: MODEL ADAPTER|"" ROWS OURS -> the largest difference of the logits, row by row
COMPARE = """
import json, sys, torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
model, info = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
assert not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
if sys.argv[2]:
    import warnings
    from peft import PeftModel
    warnings.simplefilter("error", UserWarning)  # what PEFT says of keys that it misses
    model = PeftModel.from_pretrained(model, sys.argv[2])
model.eval()
ours, worst = load_file(sys.argv[4]), 0.0
with torch.no_grad():
    for i, line in enumerate(open(sys.argv[3])):
        theirs = model(input_ids=torch.tensor([json.loads(line)["input_ids"]])).logits[0]
        worst = max(worst, (theirs - ours[f"row.{i}"]).abs().max().item())
print(worst)
"""


@needs_python
@unittest.skipUnless((SHARED / "golden").is_dir(), f"SKIPPED: no folder of shared goldens at {SHARED} (LORAGRAD_SHARED)")
class Peft(CliTest):
    def same_logits(self, model, rows, adapter=None):
        ours = self.folder / "logits.safetensors"
        self.ok("eval", "--model", model, "--data", rows, "--logits", ours, *(["--adapter", adapter] if adapter else []))
        done = subprocess.run([PYTHON, "-c", COMPARE, str(model), str(adapter or ""), str(rows), str(ours)], capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertLess(float(done.stdout.split()[-1]), 2e-4)

    def test_adapters_merged_checkpoints_and_full_ones(self):
        for name in FAMILIES:
            with self.subTest(name):
                golden, out = SHARED / "golden" / "families" / name, self.folder / name
                model, rows = golden / "model", golden / "rows.jsonl"
                out.mkdir()
                common = ["train", "--model", model, "--data", rows, "--steps", 6, "--lr", 1e-2]
                self.ok(*common, "--output", out / "adapter", "--rank", 3, "--alpha", 7, "--target", "all-linear")
                self.same_logits(model, rows, out / "adapter")
                self.ok("merge", "--model", model, "--adapter", out / "adapter", "--output", out / "merged")
                self.same_logits(out / "merged", rows)
                self.ok(*common, "--output", out / "full", "--full")
                self.same_logits(out / "full", rows)

    def test_a_bias_in_b(self):
        for name in ("opt", "gpt2"):  # whose layers have biases to merge into
            with self.subTest(name):
                golden, out = SHARED / "golden" / "families" / name, self.folder / name
                model, rows = golden / "model", golden / "rows.jsonl"
                out.mkdir()
                self.ok("train", "--model", model, "--data", rows, "--steps", 6, "--lr", 1e-2, "--output", out / "adapter", "--rank", 3, "--alpha", 7,
                        "--target", "all-linear", "--lora-bias")
                self.same_logits(model, rows, out / "adapter")
                self.ok("merge", "--model", model, "--adapter", out / "adapter", "--output", out / "merged")
                self.same_logits(out / "merged", rows)

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
