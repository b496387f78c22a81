"""A processor without AVX-512 and bf16 products, as the libraries let one pretend."""
import json

from support import CliTest, read_safetensors, write_safetensors

AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}


class Processor(CliTest):
    def bf16_model(self):
        """The sample model in bf16, and the same rounded numbers as f32."""
        both = self.copy_model("bf16"), self.copy_model("f32")
        tensors = read_safetensors(self.model / "model.safetensors")
        halves = {n: b"".join(v[i + 2:i + 4] for i in range(0, len(v), 4)) for n, (_, _, v) in tensors.items()}
        for folder, dtype, wide, torch in ((both[0], "BF16", False, "bfloat16"), (both[1], "F32", True, "float32")):
            write_safetensors(folder / "model.safetensors", {
                n: (dtype, tensors[n][1], b"".join(b"\0\0" + h[i:i + 2] for i in range(0, len(h), 2)) if wide else h) for n, h in halves.items()})
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, "dtype": torch}))
        return both

    def words(self, model, output, *more):
        return ["train", "--model", model, "--data", self.data, "--output", self.folder / output, "--rank", 4, "--steps", 6, "--lr", 1e-2, *more]

    def losses(self, output): return [row["loss"] for row in self.metrics(self.folder / output)]

    def test_a_bf16_file_trains_in_f32_as_the_same_numbers_in_f32_do(self):
        bf16, f32 = self.bf16_model()
        self.ok(*self.words(f32, "wide"))
        for name, more in (("asked", ["--precision", "f32"]), ("auto", [])):
            self.ok(*self.words(bf16, name, *more), env=AVX2)
            for a, b in zip(self.losses("wide"), self.losses(name), strict=True): self.assertLess(abs(a - b), 2e-5 * a)
        self.assertLess(self.losses("auto")[-1], self.losses("auto")[0])
        for folder in ("wide", "auto"):
            self.ok("eval", "--model", bf16 if folder == "auto" else f32, "--adapter", self.folder / folder, "--data", self.data, env=AVX2)

    def test_bf16_products_are_refused_with_the_reason(self):
        bf16, _ = self.bf16_model()
        self.fails(2, *self.words(bf16, "out", "--precision", "bf16"), env=AVX2, says=("precision", "AVX512-BF16", "use f32"))

    def test_merging_and_generating(self):
        bf16, _ = self.bf16_model()
        self.ok("merge", "--model", bf16, "--adapter", self.adapter, "--output", self.folder / "merged", env=AVX2)
        self.assertEqual({"BF16"}, {dtype for dtype, _, _ in read_safetensors(self.folder / "merged" / "model.safetensors").values()})
        self.ok("generate", "--model", self.folder / "merged", "--prompt", "Ann", "--max-tokens", 4, env=AVX2)
