"""Models whose weights are pytorch_model.bin: used as the same in safetensors, merged into safetensors."""
import json, pathlib, pickle, subprocess, zipfile

from support import PYTHON, CliTest, needs_python, read_safetensors, write_pytorch


class PytorchFiles(CliTest):
    def setUp(self):
        super().setUp()
        self.other = self.copy_model("other")
        (self.other / "model.safetensors").unlink()
        self.tensors = read_safetensors(self.model / "model.safetensors")

    def same(self):
        words = ("eval", "--data", self.data, "--adapter", self.adapter)
        self.assertEqual(*({**self.json(*words, "--model", model), "seconds": 0} for model in (self.model, self.other)))

    def test_it_is_the_same_model(self):
        write_pytorch(self.other / "pytorch_model.bin", self.tensors)
        self.same()
        facts, expected = (self.json("inspect", model) for model in (self.other, self.model))
        self.assertEqual(("pytorch_model.bin", "model.safetensors"), (facts.pop("files"), expected.pop("files")))
        self.assertEqual({**expected, "path": str(self.other)}, facts)
        facts = self.json("inspect", self.other / "pytorch_model.bin")
        self.assertEqual(("pytorch", len(self.tensors)), (facts["kind"], facts["tensors"]))
        self.assertEqual("F32 [260, 32]", facts["contents"]["model.embed_tokens.weight"])
        merged = [self.folder / "a", self.folder / "b"]
        for model, out in zip((self.model, self.other), merged):
            self.ok("merge", "--model", model, "--adapter", self.adapter, "--output", out)
        self.assertEqual(*((out / "model.safetensors").read_bytes() for out in merged))
        self.assertFalse((merged[1] / "pytorch_model.bin").exists())
        # A new adapter's card says the same of its base, and a warning would say if it did not.
        self.ok("train", "--model", self.other, "--data", self.data, "--steps", 1, "--output", self.folder / "adapter")
        self.fails(2, "eval", "--model", self.other, "--data", self.data, "--logits", self.other / "pytorch_model.bin", says="--logits")

    def test_in_several_files(self):
        names = list(self.tensors)
        for file, part in (("one.bin", names[::2]), ("two.bin", names[1::2])):
            write_pytorch(self.other / file, {name: self.tensors[name] for name in part})
        index = {"metadata": {"total_size": 1}, "weight_map": {name: ("one.bin", "two.bin")[i % 2] for i, name in enumerate(names)}}
        (self.other / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        self.same()
        self.assertEqual("one.bin, two.bin", self.json("inspect", self.other)["files"])

    def test_safetensors_win(self):
        (self.other / "model.safetensors").write_bytes((self.model / "model.safetensors").read_bytes())
        (self.other / "pytorch_model.bin").write_bytes(b"not read")
        self.same()

    def test_a_pickle_of_something_else(self):
        for data in (pickle.dumps({"a": 1}, 2), pickle.dumps({"a": pathlib.PurePosixPath("x")}, 2)):
            with zipfile.ZipFile(self.other / "pytorch_model.bin", "w") as archive: archive.writestr("m/data.pkl", data)
            self.fails(3, "eval", "--model", self.other, "--data", self.data, says=("pytorch_model.bin: data.pkl: ",))
        with zipfile.ZipFile(self.other / "pytorch_model.bin", "w", zipfile.ZIP_DEFLATED) as archive: archive.writestr("m/data.pkl", data * 9)
        self.fails(3, "inspect", self.other / "pytorch_model.bin", says="expected a file that is stored as it is, found one compressed by method 8")

    @needs_python
    def test_what_torch_itself_saves(self):
        code = ("import sys, torch; from transformers import AutoModelForCausalLM as M; m = M.from_pretrained(sys.argv[1]);"
                "torch.save(m.state_dict(), sys.argv[2])")
        done = subprocess.run([PYTHON, "-c", code, str(self.model), str(self.other / "pytorch_model.bin")], capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
        self.same()
