"""What the tests of the command line share: running the binary, and a tiny model made by the binary itself."""
import atexit, functools, json, math, os, pathlib, shutil, struct, subprocess, tempfile, unittest, zipfile

BINARY = os.environ["LORAGRAD_BINARY"]
# The program with the GPU's backend in emulation (tests/cuda_emulation/README.md).
EMULATED = os.environ.get("LORAGRAD_EMULATED", str(pathlib.Path(BINARY).parents[1] / "tests/cli/loragrad_emulated"))
SHARED = pathlib.Path(os.environ.get("LORAGRAD_SHARED", pathlib.Path(__file__).parents[2] / ".." / "shared"))
PYTHON = os.environ.get("LORAGRAD_PYTHON")
needs_python = unittest.skipUnless(PYTHON, "SKIPPED: LORAGRAD_PYTHON names no Python with torch, transformers and peft")
# A sanitizer keeps addresses and memory for itself: what a test says of them is not the program's.
SANITIZED = "LORAGRAD_SANITIZED" in os.environ
needs_own_memory = unittest.skipIf(SANITIZED, "SKIPPED: a sanitizer takes addresses and memory of its own")
# So does Clang's OpenMP, which it comes with, of files.
needs_own_files = unittest.skipIf(SANITIZED, "SKIPPED: the sanitizer's OpenMP writes a file of its own")
CONFIG = {"model_type": "llama", "vocab_size": 260, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 96, "tie_word_embeddings": True}
TEXTS = [f"{who} {did} the {what}." for who in ("Ann", "Zoë", "Kim") for did in ("saw", "lost") for what in ("cat", "hat", "bat")]


COMPUTES = {"train", "check", "eval", "generate", "merge", "pretrain"}


def on_processor(words):
    """The words as text, with --device cpu where they compute and name no device: what is not about devices is to come out alike on a machine with a GPU."""
    words = [str(word) for word in words]
    named = any(word.startswith("--device") for word in words)
    return words[:1] + ["--device", "cpu"] + words[1:] if words and words[0] in COMPUTES and not named else words


def run(*words, stdin=None, env=None, binary=BINARY, cwd=None):
    """The finished process; stdout and stderr as text."""
    return subprocess.run([binary, *on_processor(words)], input=stdin, capture_output=True, text=True, cwd=cwd, timeout=600 if binary == EMULATED else 120,
                          env={**os.environ, **(env or {})})


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read_safetensors(path):
    """{name: (dtype, shape, bytes)}"""
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    return {name: (t["dtype"], t["shape"], data[8 + length + t["data_offsets"][0]:8 + length + t["data_offsets"][1]])
            for name, t in header.items() if name != "__metadata__"}


def write_safetensors(path, tensors):
    header, body = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(values)]}
        body += values
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


def write_pytorch(path, tensors):
    """What torch.save writes, without torch: a state dict of floats."""
    text = lambda value: b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()
    numbers = lambda values: b"(" + b"".join(b"J" + value.to_bytes(4, "little") for value in values) + b"t"
    ordered, items = b"ccollections\nOrderedDict\n)R", b""
    with zipfile.ZipFile(path, "w") as archive:
        for key, (name, (dtype, shape, values)) in enumerate(tensors.items()):
            assert dtype == "F32"
            strides = [math.prod(shape[i + 1:]) for i in range(len(shape))]
            storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(str(key)) + text("cpu") + numbers([len(values) // 4])[1:-1] + b"tQ"
            items += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + numbers([0])[1:-1] + numbers(shape) + numbers(strides) + b"\x89" + ordered + b"tR"
            archive.writestr(f"pytorch_model/data/{key}", values)
        archive.writestr("pytorch_model/data.pkl", b"\x80\x02" + ordered + b"(" + items + b"u.")


def floats(values):
    return struct.unpack(f"<{len(values) // 4}f", values)


@functools.cache
def samples():
    """A folder with data, and a model and an adapter trained on it; made once, and not to be changed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="loragrad-cli-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = folder / "data"
    data.mkdir()
    for split, texts in (("train", TEXTS), ("valid", TEXTS[:4]), ("test", TEXTS[4:6])):
        write_rows(data / f"{split}.jsonl", [{"text": t} for t in texts])
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for words in (("pretrain", "--config-json", folder / "config.json", "--data", data, "--output", folder / "model", "--steps", 40, "--lr", 1e-2),
                  ("train", "--model", folder / "model", "--data", data, "--output", folder / "adapter", "--rank", 4, "--alpha", 12,
                   "--steps", 20, "--lr", 1e-2, "--target", "all-linear")):
        done = run(*words)
        if done.returncode != 0: raise RuntimeError(done.stderr)
    return folder


class CliTest(unittest.TestCase):
    def setUp(self):
        self.samples = samples()
        self.model, self.adapter, self.data = self.samples / "model", self.samples / "adapter", self.samples / "data"
        temporary = tempfile.TemporaryDirectory(prefix="loragrad-cli-")
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def ok(self, *words, **options):
        done = run(*words, **options)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def json(self, *words, **options):
        """The one JSON value that a --json command prints."""
        lines = self.ok(*words, "--json", **options).splitlines()
        self.assertEqual(1, len(lines), lines)
        return json.loads(lines[0])

    def loss(self, *words): return self.json("eval", "--data", self.data, *words)["loss"]

    def check_uses(self, adapter, merged, name):
        """Half of an adapter; decoding one token at a time; of several rows one: each is what the merged model is."""
        half = self.folder / f"half{name}"
        self.json("merge", "--model", self.model, "--adapter", f"{adapter}:0.5", "--output", half)
        self.assertAlmostEqual(self.loss("--model", self.model, "--adapter", f"{adapter}:0.5"), self.loss("--model", half), places=5)
        words = ["--prompt", "the", "--max-tokens", 8, "--temperature", 0]
        self.assertEqual(self.json("generate", "--model", self.model, "--adapter", adapter, *words)["ids"], self.json("generate", "--model", merged, *words)["ids"])
        prompts = write_rows(self.folder / f"prompts{name}.jsonl", [{"prompt": "the", "adapter": which} for which in ("x", None)])
        rows = [json.loads(line)["ids"] for line in self.ok("generate", "--model", self.model, "--adapter", f"x={adapter}", "--data", prompts, "--max-tokens", 8, "--temperature", 0).splitlines()]
        self.assertEqual([self.json("generate", "--model", model, *words)["ids"] for model in (merged, self.model)], rows)

    def fails(self, code, *words, says=(), **options):
        """The command ends with `code` and one line of error that has all of `says`, and leaves nothing new behind."""
        before = sorted(self.folder.rglob("*"))
        done = run(*words, **options)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(1, len(errors), done.stderr)
        self.assertEqual(errors[0], done.stderr.splitlines()[-1])
        for text in says if isinstance(says, tuple) else (says,): self.assertIn(str(text), errors[0])
        self.assertEqual(before, sorted(self.folder.rglob("*")))
        return errors[0]

    def copy_model(self, name="model"):
        return pathlib.Path(shutil.copytree(self.model, self.folder / name))

    def metrics(self, folder):
        return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
