"""What merge and the others say where a checkpoint's numbers are coarse."""
import json, re, struct

from support import CliTest, floats, read_safetensors, run, write_safetensors
from test_adapters import as_bf16, warnings


def as_f16(tensor):
    return "F16", tensor[1], struct.pack(f"<{len(tensor[2]) // 4}e", *floats(tensor[2]))


def values(tensor):
    dtype, _, data = tensor
    if dtype == "F32": return floats(data)
    if dtype == "F16": return struct.unpack(f"<{len(data) // 2}e", data)
    return struct.unpack(f"<{len(data) // 2}f", b"".join(b"\0\0" + data[i:i + 2] for i in range(0, len(data), 2)))


class MergePrecision(CliTest):
    def setUp(self):
        super().setUp()
        self.base = {}
        for name, convert in (("f32", lambda t: t), ("bf16", as_bf16), ("f16", as_f16)):
            self.base[name] = self.copy_model(name)
            tensors = read_safetensors(self.model / "model.safetensors")
            write_safetensors(self.base[name] / "model.safetensors", {n: convert(t) for n, t in tensors.items()})

    def merge(self, dtype, weight, *more):
        self.output = self.folder / f"{dtype}-{weight}"
        done = run("merge", "--model", self.base[dtype], "--adapter", f"{self.adapter}:{weight}", "--output", self.output, "--json", "--overwrite", *more)
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout), [line for line in warnings(done) if "another base" not in line]

    def kept(self, dtype, weight):
        """<C, D> / |D|² of all weights, and the number of weights where it is below 1/2, from the files."""
        old, new, adapter = (read_safetensors(p) for p in (self.base[dtype] / "model.safetensors", self.output / "model.safetensors", self.adapter / "adapter_model.safetensors"))
        intended = kept = lost = 0
        for name in (n for n in adapter if n.endswith("lora_A.weight")):
            (r, cols), (rows, _) = adapter[name][1], adapter[name.replace("_A", "_B")][1]
            a, b = floats(adapter[name][2]), floats(adapter[name.replace("_A", "_B")][2])
            module = name.removeprefix("base_model.model.").removesuffix("lora_A.weight") + "weight"
            change = [weight * 12 / 4 * sum(b[i * r + k] * a[k * cols + j] for k in range(r)) for i in range(rows) for j in range(cols)]
            square, part = sum(d * d for d in change), sum((y - x) * d for x, y, d in zip(values(old[module]), values(new[module]), change))
            intended, kept, lost = intended + square, kept + part, lost + (part < square / 2)
        return kept / intended, lost

    def test_what_rounding_leaves_of_an_adapter(self):
        expected = {("f32", 0.001): False, ("bf16", 1): False, ("bf16", 0.001): True, ("bf16", 0.02): None, ("f16", 1): False, ("f16", 0.0001): True}
        for (dtype, weight), warned in expected.items():
            with self.subTest(dtype=dtype, weight=weight):
                report, lines = self.merge(dtype, weight)
                share, lost = self.kept(dtype, weight)
                self.assertAlmostEqual(share, report["kept"], delta=2e-4 + 1e-3 * share)
                self.assertEqual(lost > 0, bool(lines), lines)
                if warned is not None: self.assertEqual(warned, bool(lines))
                if lines:
                    self.assertIn(f"rounding to {dtype} has lost most of the adapter in {lost} of 14 weights", lines[0])
                    self.assertLess(len(lines[0].replace(str(self.folder), "")), 400)

    def test_the_difference_is_in_f32_and_beside_the_adapters_effect(self):
        # Next to nothing of so small an adapter is left in bf16: the difference is all of the adapter's effect. Products in bf16 would
        # hide both.
        report, _ = self.merge("bf16", 1e-5)
        self.assertLess(report["kept"], 1e-2)
        self.assertGreater(report["largest_adapter_effect"], 0)
        self.assertLess(report["largest_adapter_effect"], 1e-3)
        self.assertAlmostEqual(1, report["largest_logit_difference"] / report["largest_adapter_effect"], delta=0.2)
        whole, _ = self.merge("bf16", 1)
        exact, _ = self.merge("f32", 1)
        self.assertLess(exact["largest_logit_difference"], 1e-4)
        self.assertGreater(whole["largest_logit_difference"], 10 * exact["largest_logit_difference"])
        self.assertLess(whole["largest_logit_difference"], whole["largest_adapter_effect"])
        text = self.ok("merge", "--model", self.base["bf16"], "--adapter", self.adapter, "--output", self.output, "--overwrite")
        self.assertRegex(text, r"merged against adapter: \S+, adapter against base: \S+ \(in f32;")
        self.assertRegex(text, r"kept of the adapter's change after rounding: \S+ %")

    def test_auto_says_what_it_is_for_f16(self):
        commands = (["eval", "--data", self.data], ["generate", "--prompt", "a", "--max-tokens", 1], ["check", "--data", self.data, "--output", self.folder / "never"],
                    ["train", "--data", self.data, "--steps", 1, "--overwrite", "--output", self.folder / "o"])
        has_bf16 = run("eval", "--model", self.base["f32"], "--data", self.data, "--precision", "bf16").returncode == 0
        for command in commands:
            said = {(dtype, flags): len([line for line in warnings(run(*command, "--model", self.base[dtype], *flags))
                                         if "stored in f16 and computed in bf16" in line and "--precision f32" in line])
                    for dtype in self.base for flags in ((), ("--precision", "f32"))}
            self.assertEqual({key: int(has_bf16 and key == ("f16", ())) for key in said}, said, command[0])
        self.assertEqual([], self.merge("f16", 1)[1])
        self.assertIn("bf16 for a bf16 or f16 checkpoint where the device multiplies bf16, else f32", " ".join(self.ok("eval", "--help").split()))
