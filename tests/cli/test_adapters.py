"""Adapters as people have them: PEFT's other forms, other programs' files, adapters of another base."""
import json, os, re, shutil, struct, subprocess, unittest

from support import CONFIG, PYTHON, SHARED, CliTest, needs_python, on_processor, read_safetensors, run, write_pytorch, write_safetensors

PREFIX = "base_model.model."
# argv: MODEL OUT -> OUT/saved (PEFT's own, with embeddings), OUT/state (its state dict, ".default." in all names), OUT/probed.safetensors
# (logits of rows of ids 1..12)
MAKE = """
import sys, torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
torch.manual_seed(3)
base = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32, attn_implementation="eager")
model = get_peft_model(base, LoraConfig(r=3, lora_alpha=7, target_modules="all-linear", task_type="CAUSAL_LM"))
for name, p in model.named_parameters():
    if "lora_B" in name: torch.nn.init.normal_(p, std=0.1)
model.save_pretrained(sys.argv[2] + "/saved", save_embedding_layers=True)
model.save_pretrained(sys.argv[2] + "/state")
save_file({k: v.clone().contiguous() for k, v in model.state_dict().items()}, sys.argv[2] + "/state/adapter_model.safetensors")
with torch.no_grad():
    save_file({"row.0": model.eval()(input_ids=torch.arange(1, 13)[None]).logits[0].contiguous()}, sys.argv[2] + "/probed.safetensors")
"""


def warnings(done): return [line for line in done.stderr.splitlines() if line.startswith("warning: ")]


class AdapterForms(CliTest):
    def copy_adapter(self, name="copy"): return self.folder / shutil.copytree(self.adapter, self.folder / name)

    def loss(self, adapter, model=None):
        done = run("eval", "--model", model or self.model, "--data", self.data, "--adapter", adapter, "--json")
        self.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout)["loss"], warnings(done)

    def edit_config(self, adapter, **fields):
        path = adapter / "adapter_config.json"
        config = {**json.loads(path.read_text()), **fields}
        path.write_text(json.dumps({k: v for k, v in config.items() if v != "absent"}))

    def tensors(self, adapter): return read_safetensors(adapter / "adapter_model.safetensors")

    def put(self, adapter, tensors): write_safetensors(adapter / "adapter_model.safetensors", tensors)

    def test_an_adapters_name_in_the_tensors_names(self):
        expected = self.loss(self.adapter)
        for name in ("default", "my-adapter"):
            adapter = self.copy_adapter(name)
            self.put(adapter, {k.replace(".weight", f".{name}.weight"): t for k, t in self.tensors(adapter).items()})
            self.assertEqual(expected, self.loss(adapter))
        self.put(adapter, {**self.tensors(adapter), **self.tensors(self.folder / "default")})
        self.fails(3, "eval", "--model", self.model, "--data", self.data, "--adapter", adapter, says=("several", "default", "my-adapter"))
        self.put(adapter, {**self.tensors(self.folder / "default"), **self.tensors(self.adapter)})
        self.fails(3, "eval", "--model", self.model, "--data", self.data, "--adapter", adapter, says="one tensor of each name")

    def test_targets_that_only_the_tensors_tell(self):
        expected = self.loss(self.adapter)[0]
        for value in (None, "absent"):
            adapter = self.copy_adapter(str(value))
            self.edit_config(adapter, target_modules=value)
            loss, warned = self.loss(adapter)
            self.assertEqual(expected, loss)
            self.assertEqual(1, len(warned), warned)
            self.assertIn("target_modules: none", warned[0])
            self.ok("inspect", adapter)
        # Training goes on with them, and writes them.
        self.ok("train", "--model", self.model, "--data", self.data, "--init-adapter", adapter, "--steps", 1, "--output", self.folder / "on")
        targets = json.loads((self.folder / "on" / "adapter_config.json").read_text())["target_modules"]
        self.assertEqual(14, len(targets))
        self.put(adapter, {})
        self.fails(3, "eval", "--model", self.model, "--data", self.data, "--adapter", adapter, says=("target_modules", "found none"))

    def test_the_bases_own_parameters_beside(self):
        expected = self.loss(self.adapter)
        base = read_safetensors(self.model / "model.safetensors")
        embedding = base["model.embed_tokens.weight"]
        more = {"model.embed_tokens.weight": embedding, "model.embed_tokens.base_layer.weight": embedding, "lm_head.weight": embedding,
                "lm_head.original_module.weight": embedding, "lm_head.modules_to_save.default.weight": embedding,
                "model.layers.0.self_attn.q_proj.base_layer.weight": base["model.layers.0.self_attn.q_proj.weight"], "model.norm.weight": base["model.norm.weight"],
                # As a base that was loaded in bf16 is saved.
                "model.layers.1.mlp.down_proj.base_layer.weight": as_bf16(base["model.layers.1.mlp.down_proj.weight"])}
        for name, tensor in more.items():
            with self.subTest(name):
                adapter = self.copy_adapter(name)
                own = self.tensors(adapter)
                self.put(adapter, {**own, PREFIX + name: tensor})
                self.assertEqual(expected, self.loss(adapter))
                self.ok("train", "--model", self.model, "--data", self.data, "--init-adapter", adapter, "--steps", 1, "--output", self.folder / (name + "-on"))
                dtype, shape, values = tensor
                command = ["eval", "--model", self.model, "--data", self.data, "--adapter", adapter]
                self.put(adapter, {**own, PREFIX + name: (dtype, shape, bytes([values[0] ^ 255]) + values[1:-1] + bytes([values[-1] ^ 64]))})
                self.fails(3, *command, says=(PREFIX + name, "expected the base's own values"))
                grown = [shape[0] + 1, *shape[1:]]
                self.put(adapter, {**own, PREFIX + name: (dtype, grown, values + values[:len(values) // shape[0]])})
                self.fails(3, *command, says=(PREFIX + name, "expected the base's own [", "trained or resized"))
        self.put(adapter, {**own, PREFIX + "model.stray.weight": embedding})
        self.fails(3, *command, says=("unexpected", "model.stray.weight"))
        self.put(adapter, {**own, "model.embed_tokens.weight": embedding})
        self.fails(3, *command, says=("unexpected", "model.embed_tokens.weight"))

    def test_patterns_are_pythons(self):
        expected = self.loss(self.adapter)[0]
        adapter = self.copy_adapter()
        self.edit_config(adapter, target_modules=r"(?P<block>model)\.layers\.\d+\.(?:self_attn|mlp)\.[[:a-z_]+$")
        self.assertEqual(expected, self.loss(adapter)[0])
        train = ["train", "--model", self.model, "--data", self.data, "--steps", 1, "--output", self.folder / "o", "--target"]
        for pattern in (r".*\Kq_proj", r"(?|.*q_proj|x)", r".*\p{L}_proj", "(*UTF).*q_proj", r".*q_proj\z", r"(?<n>.*)q_proj", r".*(?i)Q_proj", r"(?<=a|bc).*"):
            with self.subTest(pattern):
                self.edit_config(adapter, target_modules=pattern)
                self.fails(3, "eval", "--model", self.model, "--data", self.data, "--adapter", adapter, says=("target_modules", "as Python reads them"))
                self.fails(2, *train, "regex:" + pattern, says=("--target", "as Python reads them"))
        self.ok(*train, r"regex:.*\.(?P<which>[qk])_proj\Z")

    def test_folders_of_other_kinds(self):
        commands = {"eval": ["eval", "--model", self.model, "--data", self.data, "--adapter"], "inspect": ["inspect"],
                    "generate": ["generate", "--model", self.model, "--prompt", "a", "--adapter"],
                    "merge": ["merge", "--model", self.model, "--output", self.folder / "o", "--adapter"],
                    "train": ["train", "--model", self.model, "--data", self.data, "--output", self.folder / "o", "--init-adapter"]}
        mlx, older, nested = (self.copy_adapter(name) for name in ("mlx", "older", "nested"))
        for folder, name in ((mlx, "adapters.safetensors"), (older, "adapters.npz")):
            (folder / "adapter_model.safetensors").rename(folder / name)
            (folder / "adapter_config.json").write_text(json.dumps({"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": {"rank": 8, "scale": 20.0, "dropout": 0.0}}))
        for name, command in commands.items():
            with self.subTest(name):
                self.fails(3, *command, mlx, says=("mlx", "loragrad convert --model"))
                self.fails(3, *command, older, says=("mlx", "mlx_lm.fuse", "--model"))
                if name != "inspect": self.fails(4, *command, self.model, says=("adapter_config.json", "a model (give it as --model)"))
        (nested / "checkpoint-20").mkdir()
        for file in list(nested.iterdir()):
            if file.is_file(): file.rename(nested / "checkpoint-20" / file.name)
        self.fails(4, *commands["eval"], nested, says=("adapter_config.json", "checkpoint-20"))
        for command in (["eval", "--data", self.data], ["generate", "--prompt", "a"], ["merge", "--adapter", self.adapter, "--output", self.folder / "o"],
                        ["train", "--data", self.data, "--output", self.folder / "o"]):
            self.fails(4, *command, "--model", self.adapter, says=("config.json", "an adapter (give it as --adapter"))

    def test_a_pickled_adapter(self):
        expected = self.loss(self.adapter)[0]
        pickled = self.copy_adapter()
        tensors = read_safetensors(pickled / "adapter_model.safetensors")
        (pickled / "adapter_model.bin").write_bytes(b"not read")
        self.assertEqual(expected, self.loss(pickled)[0])
        (pickled / "adapter_model.safetensors").unlink()
        self.fails(3, "inspect", pickled, says="adapter_model.bin: expected a zip archive")
        write_pytorch(pickled / "adapter_model.bin", tensors)
        self.assertEqual(expected, self.loss(pickled)[0])
        facts, theirs = (self.json("inspect", folder) for folder in (pickled, self.adapter))
        self.assertEqual({**theirs, "path": str(pickled)}, facts)
        self.ok("train", "--model", self.model, "--data", self.data, "--steps", 1, "--init-adapter", pickled, "--output", self.folder / "o")
        self.assertTrue((self.folder / "o" / "adapter_model.safetensors").is_file())
        del tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"]
        write_pytorch(pickled / "adapter_model.bin", tensors)
        self.fails(3, "eval", "--model", self.model, "--data", self.data, "--adapter", pickled, says=("adapter_model.bin", "missing"))

    @needs_python
    def test_what_peft_itself_saves(self):
        done = subprocess.run([PYTHON, "-c", MAKE, str(self.model), str(self.folder)], capture_output=True, text=True)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(PREFIX + "model.embed_tokens.weight", self.tensors(self.folder / "saved"))
        self.assertIn(PREFIX + "model.layers.0.mlp.up_proj.lora_A.default.weight", self.tensors(self.folder / "state"))
        (self.folder / "rows.jsonl").write_text(json.dumps({"input_ids": list(range(1, 13))}) + "\n")
        expected = struct.unpack(f"<{12 * 260}f", read_safetensors(self.folder / "probed.safetensors")["row.0"][2])
        for name in ("saved", "state"):
            out = self.folder / f"{name}.safetensors"
            self.ok("eval", "--model", self.model, "--data", self.folder / "rows.jsonl", "--adapter", self.folder / name, "--logits", out, "--precision", "f32")
            found = struct.unpack(f"<{12 * 260}f", read_safetensors(out)["row.0"][2])
            self.assertLess(max(abs(a - b) for a, b in zip(expected, found)), 1e-4)

    @unittest.skipUnless((SHARED / "golden").is_dir(), f"SKIPPED: no folder of shared goldens at {SHARED} (LORAGRAD_SHARED)")
    def test_pefts_files_with_other_names_give_pefts_losses(self):
        for family in ("opt", "gpt2", "llama"):
            with self.subTest(family):
                golden = SHARED / "golden" / "families" / family
                adapter = self.folder / family
                shutil.copytree(golden / "adapter_trained", adapter)
                command = ["eval", "--model", golden / "model", "--data", golden / "rows.jsonl", "--precision", "f32", "--adapter"]
                expected = self.json(*command, golden / "adapter_trained")["loss"]
                own, base = self.tensors(adapter), read_safetensors(golden / "model" / "model.safetensors")
                embedding = max((n for n in base if n.endswith(("embed_tokens.weight", "wte.weight"))), key=len)
                full = embedding if embedding.startswith(("model.", "transformer.")) else {"gpt2": "transformer."}.get(family, "model.") + embedding
                self.put(adapter, {**{k.replace(".weight", ".default.weight"): t for k, t in own.items()}, PREFIX + full: base[embedding]})
                self.edit_config(adapter, target_modules=None)
                self.assertEqual(expected, self.json(*command, adapter)["loss"])


def as_bf16(tensor):
    dtype, shape, values = tensor
    assert dtype == "F32"
    words = struct.unpack(f"<{len(values) // 4}I", values)
    return "BF16", shape, struct.pack(f"<{len(words)}H", *(w + 0x7fff + (w >> 16 & 1) >> 16 for w in words))


def documented_hash(model):
    """The hash as docs/formats.md defines it, for the samples' model."""
    tensors = {n: (t[1], as_bf16(t)[2]) for n, t in read_safetensors(model / "model.safetensors").items()}
    c = json.loads((model / "config.json").read_text())
    head = c["hidden_size"] // c["num_attention_heads"]
    facts = [c["model_type"], c["num_attention_heads"], c["num_key_value_heads"], head, "%.6g" % c.get("rms_norm_eps", 1e-6), "silu", 1, 0, 1, 0]
    text = " ".join(map(str, facts + ["%.6g" % 10000 ** (-2 * i / head) for i in range(head // 2)])).encode()
    for name, (shape, values) in sorted(tensors.items()):
        text += f"\n{name} [{', '.join(map(str, shape))}]\n".encode()
        count = len(values) // 2
        begins = [0] if count <= 4096 else [(count - 1024) * i // 3 for i in range(4)]
        for begin in begins: text += values[2 * begin:2 * (count if count <= 4096 else begin + 1024)]
    value = 0xcbf29ce484222325
    for byte in text: value = (value ^ byte) * 0x100000001b3 % 2 ** 64
    return f"{value:016x}"


def sharded(model):
    """Two shards and an index instead of one file."""
    tensors = read_safetensors(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    shards = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(tensors)}
    for shard in set(shards.values()): write_safetensors(model / shard, {n: t for n, t in tensors.items() if shards[n] == shard})
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def rewritten(model, change): write_safetensors(model / "model.safetensors", change(read_safetensors(model / "model.safetensors")))


class OtherBase(CliTest):
    def commands(self, model, adapter):
        return {"eval": ["eval", "--model", model, "--data", self.data, "--adapter", adapter],
                "generate": ["generate", "--model", model, "--prompt", "a", "--max-tokens", 1, "--adapter", adapter],
                "merge": ["merge", "--model", model, "--output", self.folder / "merged", "--overwrite", "--adapter", adapter],
                "train": ["train", "--model", model, "--data", self.data, "--output", self.folder / "on", "--overwrite", "--steps", 1, "--init-adapter", adapter],
                "check": ["check", "--model", model, "--data", self.data, "--output", self.folder / "never", "--init-adapter", adapter]}

    def warned(self, model, adapter=None):
        """Whether each command warns of another base; they all agree."""
        found = set()
        for words in self.commands(model, adapter or self.adapter).values():
            done = run(*words)
            self.assertEqual(0, done.returncode, done.stderr)
            found.add(sum("another base" in line for line in warnings(done)))
        self.assertEqual(1, len(found))
        return found.pop()

    def test_the_same_base_in_another_shape(self):
        self.assertEqual(0, self.warned(self.model))
        card = (self.adapter / "README.md").read_text()
        self.assertRegex(card.split("---")[1], r"\nbase_model_hash: loragrad-1-[0-9a-f]{16}\n")
        hash_of = lambda model: self.json("inspect", model)["hash"]
        self.assertIn(hash_of(self.model), card)
        self.assertEqual(hash_of(self.model), self.json("inspect", self.adapter)["base_hash"])
        self.assertEqual(documented_hash(self.model), hash_of(self.model))
        same = self.copy_model("moved")
        self.assertEqual(0, self.warned(same))
        config = json.loads((same / "config.json").read_text())
        (same / "config.json").write_text(json.dumps(dict(reversed(config.items())), indent=7))
        self.assertEqual(hash_of(self.model), hash_of(same))
        (same / "config.json").write_text(json.dumps({**config, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}, "transformers_version": "9", "dtype": "float32"}))
        self.assertEqual(hash_of(self.model), hash_of(same))
        rewritten(same, lambda tensors: {n: as_bf16(t) for n, t in tensors.items()})
        self.assertEqual(hash_of(self.model), hash_of(same))
        for name, change in (("short", lambda m: rewritten(m, lambda t: {n.removeprefix("model."): v for n, v in t.items()})), ("shards", sharded),
                             ("head", lambda m: rewritten(m, lambda t: {**t, "lm_head.weight": t["model.embed_tokens.weight"]}))):
            model = self.copy_model(name)
            change(model)
            self.assertEqual(hash_of(self.model), hash_of(model), name)
        self.assertEqual(0, self.warned(model))

    def test_another_base(self):
        other = self.folder / "other"
        self.ok("pretrain", "--config-json", self.samples / "config.json", "--data", self.data, "--output", other, "--steps", 2, "--seed", 9)
        self.assertEqual(1, self.warned(other))
        line = warnings(run(*self.commands(other, self.adapter)["eval"]))[0]
        for text in (self.adapter, self.model, other, self.json("inspect", other)["hash"]): self.assertIn(str(text), line)
        # The adapter merged into its base is not its base; nor is one that reads positions otherwise.
        self.ok("merge", "--model", self.model, "--adapter", self.adapter, "--output", self.folder / "own")
        self.assertEqual(1, self.warned(self.folder / "own"))
        turned = self.copy_model("turned")
        config = json.loads((turned / "config.json").read_text())
        (turned / "config.json").write_text(json.dumps({**config, "rope_theta": 20000.0}))
        self.assertEqual(1, self.warned(turned))
        # inspect knows the base that the adapter names.
        moved = self.folder / "moved"
        shutil.copytree(self.adapter, moved)
        config = json.loads((moved / "adapter_config.json").read_text())
        (moved / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(other)}))
        self.assertIn("another base", run("inspect", moved).stderr)
        self.assertEqual("", run("inspect", self.adapter).stderr)

    def test_names_of_the_hub(self):
        adapter = self.folder / "adapter"
        shutil.copytree(self.adapter, adapter)
        (adapter / "README.md").unlink()
        config = json.loads((adapter / "adapter_config.json").read_text())
        snapshot = self.folder / "hub" / "models--Org--Tiny-1.0" / "snapshots" / "0123abcd"
        shutil.copytree(self.model, snapshot)
        linked = self.folder / "linked"
        linked.symlink_to(snapshot)
        def warned(base, model):
            (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base}))
            done = run(*self.commands(model, adapter)["eval"])
            self.assertEqual(0, done.returncode, done.stderr)
            return [re.search("made for another base: (.*)", line).group(1) for line in warnings(done)]
        cache = "/home/ann/.cache/huggingface/hub/models--{}/snapshots/77"
        for base in ("Org/Tiny-1.0", "org/tiny-1.0", cache.format("Org--Tiny-1.0"), cache.format("Tiny-1.0") + "/", None, "", "tiny", "./tiny", "/data/Other/tiny", "a/b/c", str(self.model)):
            for model in (snapshot, linked): self.assertEqual([], warned(base, model), base)
        for base, name in (("Org/Other", "Org/Other"), ("Else/Tiny-1.0", "Else/Tiny-1.0"), (cache.format("A--b--c"), "A/b--c"), (cache.format("gpt2"), "gpt2")):
            for model in (snapshot, linked): self.assertEqual([f"{name}, not Org/Tiny-1.0"], warned(base, model))
            self.assertEqual([], warned(base, self.model))  # a plain folder has no name
        # A folder that is there is no name of the hub.
        os.makedirs(self.folder / "cwd" / "Org" / "Other")
        (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "Org/Other"}))
        done = subprocess.run([os.path.abspath(os.environ["LORAGRAD_BINARY"]), *on_processor(self.commands(snapshot, adapter)["eval"])], cwd=self.folder / "cwd", capture_output=True, text=True)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
