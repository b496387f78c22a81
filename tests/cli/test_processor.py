"""A processor without AVX-512 and bf16 products, as the libraries let one pretend, and our kernels' instruction sets."""
import json, re

from support import CliTest, read_safetensors, write_safetensors

SETS = ["baseline", "avx2", "avx512", "avx512_bf16"]
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


class InstructionSets(CliTest):
    def limit(self, name): return {"LORAGRAD_MAX_CPU_ISA": name}

    def kernels(self, **options): return re.search(r"^kernels: (\w+)$", self.ok("--version", **options), re.MULTILINE)[1]

    def test_version_says_what_runs(self):
        self.assertRegex(self.ok("--version"), r"\Aloragrad \d+\.\d+\.\d+\nkernels: (baseline|avx2|avx512|avx512_bf16)\nmatrix products: (oneDNN|OpenBLAS) \d+\.\d+\.\d+ with .+\n\Z")

    def test_the_limit_is_kept_in_any_case(self):
        own = SETS.index(self.kernels(env=self.limit(SETS[-1])))
        for i, name in enumerate(SETS):
            for text in (name, name.upper(), name.title()):
                with self.subTest(text): self.assertEqual(SETS[min(i, own)], self.kernels(env=self.limit(text)))

    def test_an_unknown_limit_is_refused(self):
        train = ["train", "--model", self.model, "--data", self.data, "--output", self.folder / "out"]
        for text in ("avx", "", "AVX512-BF16", "avx2 "):
            for words in (["--version"], train):
                with self.subTest((text, words[0])): self.fails(2, *words, env=self.limit(text), says=("LORAGRAD_MAX_CPU_ISA", f'"{text}"'))

    def test_training_comes_out_alike_in_all_of_them(self):
        losses = []
        for name in SETS:
            self.ok("train", "--model", self.model, "--data", self.data, "--output", self.folder / name, "--rank", 4, "--steps", 6, "--lr", 1e-2,
                    "--dropout", 0.1, env=self.limit(name))
            losses.append([row["loss"] for row in self.metrics(self.folder / name)])
        for found in losses[1:]:
            for a, b in zip(losses[0], found, strict=True): self.assertLess(abs(a - b), 2e-5 * a)

    def test_bf16_products_need_the_instructions(self):
        self.fails(2, "eval", "--model", self.model, "--data", self.data, "--precision", "bf16", env=self.limit("avx512"), says=("precision", "LORAGRAD_MAX_CPU_ISA"))
