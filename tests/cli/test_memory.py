"""Peaks of resident memory: what is written tensor by tensor is in memory tensor by tensor."""
import json, os, subprocess

from support import BINARY, CONFIG, CliTest, needs_own_memory, on_processor, write_rows

MIB = 1 << 20


@needs_own_memory
class Memory(CliTest):
    def peak(self, *words):
        """Of a command that succeeds."""
        process = subprocess.Popen([BINARY, *on_processor(words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        error = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        self.assertEqual(0, process.returncode, error)
        return usage.ru_maxrss * 1024

    def test_a_merge_holds_one_merged_weight(self):
        (self.folder / "config.json").write_text(json.dumps({**CONFIG, "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 12}))
        model, adapter, merged = (self.folder / name for name in ("model", "adapter", "merged"))
        run = ["--data", self.data, "--steps", 1, "--batch-size", 1]
        self.ok("pretrain", "--config-json", self.folder / "config.json", "--output", model, *run)
        self.ok("train", "--model", model, "--output", adapter, "--target", "all-linear", "--rank", 2, "--alpha", 3, *run)
        base = (model / "model.safetensors").stat().st_size
        self.assertGreater(base, 45 * MIB)
        # The base is mapped in both, and in a merge the result, which is compared with it. Beside them: a weight of 1 MiB, and a few blocks of it.
        more = self.peak("merge", "--model", model, "--adapter", adapter, "--output", merged) - self.peak("eval", "--model", model, "--adapter", adapter, "--data", self.data, "--threads", 1)
        self.assertEqual(base, (merged / "model.safetensors").stat().st_size)
        self.assertLess(more, base + 12 * MIB)

    def test_an_evaluation_holds_one_rows_logits(self):
        rows = write_rows(self.folder / "rows.jsonl", [{"input_ids": [3 + i % 200, *range(5, 95)]} for i in range(600)])
        words, logits = ["eval", "--model", self.model, "--data", rows, "--tokens-per-batch", 1], self.folder / "logits"
        more = self.peak(*words, "--logits", logits) - self.peak(*words)
        self.assertGreater(logits.stat().st_size, 50 * MIB)
        self.assertLess(more, 6 * MIB)
