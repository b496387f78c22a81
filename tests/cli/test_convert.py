"""Adapters of mlx-lm and llama.cpp. The files are read here by the formats' rules, not by what the program takes them for."""
import json, math, shutil, struct, subprocess, unittest

from support import CONFIG, PYTHON, CliTest, floats, read_safetensors, write_safetensors

PATTERNS = ["--rank", 4, "--alpha", 10, "--rslora"]


def read_gguf(path):
    """(metadata, {name: (shape outermost first, floats)})"""
    data, at = path.read_bytes(), 0
    def take(form):
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize(form)
        return value
    def text():
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size:at].decode()
    assert data[:4] == b"GGUF"
    at = 4
    assert take("I") == 3
    tensors, values = take("Q"), take("Q")
    metadata = {}
    for _ in range(values):
        key, kind = text(), take("I")
        metadata[key] = text() if kind == 8 else take("f") if kind == 6 else None
    outlines = []
    for _ in range(tensors):
        name, count = text(), take("I")
        shape = [take("Q") for _ in range(count)][::-1]
        assert take("I") == 0
        outlines.append((name, shape, take("Q")))
    begin = (at + 31) // 32 * 32
    for _, _, offset in outlines: assert offset % 32 == 0
    return metadata, {name: (shape, struct.unpack_from(f"<{math.prod(shape)}f", data, begin + offset)) for name, shape, offset in outlines}


def rows(shape, values): return [values[i * shape[1]:(i + 1) * shape[1]] for i in range(shape[0])]


class Convert(CliTest):
    def trained(self, name, *more, targets="q_proj,k_proj,down_proj"):
        out = self.folder / name
        self.ok("train", "--model", self.model, "--data", self.data, "--output", out, "--target", targets, "--steps", 4, "--lr", 1e-2, *more)
        return out

    def words(self, adapter, to, output, *more): return ["convert", "--model", self.model, "--adapter", adapter, "--to", to, "--output", self.folder / output, *more]

    def with_patterns(self):
        """An adapter of several ranks and scales, made of two by hand."""
        a, b = self.trained("a", "--rank", 4, "--alpha", 10, targets="q_proj"), self.trained("b", "--rank", 2, "--alpha", 7, targets="down_proj")
        config = json.loads((a / "adapter_config.json").read_text())
        config.update(target_modules=["q_proj", "down_proj"], rank_pattern={"down_proj": 2}, alpha_pattern={"down_proj": 7}, use_rslora=True)
        (a / "adapter_config.json").write_text(json.dumps(config))
        tensors = {**read_safetensors(a / "adapter_model.safetensors"), **read_safetensors(b / "adapter_model.safetensors")}
        write_safetensors(a / "adapter_model.safetensors", tensors)
        return a

    def test_there_and_back(self):
        for adapter in (self.trained("plain", "--rank", 3, "--alpha", 7), self.trained("rslora", *PATTERNS), self.with_patterns()):
            for format, output in (("mlx", "there"), ("gguf", "there.gguf")):
                with self.subTest(f"{adapter.name} {format}"):
                    report = self.json(*self.words(adapter, format, output, "--overwrite"))
                    self.assertEqual(("peft", format), (report["from"], report["to"]))
                    back = self.folder / "back"
                    self.json(*self.words(self.folder / output, "peft", "back", "--overwrite"))
                    self.assertAlmostEqual(self.loss("--model", self.model, "--adapter", adapter), self.loss("--model", self.model, "--adapter", back), places=5)
                    if adapter.name == "a": continue
                    old, new = (read_safetensors(f / "adapter_model.safetensors") for f in (adapter, back))
                    self.assertEqual(old, new)
                    config = json.loads((back / "adapter_config.json").read_text())
                    self.assertAlmostEqual(7 if adapter.name == "plain" else 10 / 2 * 4, config["lora_alpha"], places=5)

    def test_mlx_as_mlx_reads_it(self):
        adapter = self.with_patterns()
        self.ok(*self.words(adapter, "mlx", "mlx"))
        config = json.loads((self.folder / "mlx/adapter_config.json").read_text())
        self.assertEqual(("lora", 2, ["mlp.down_proj", "self_attn.q_proj"], 4), (config["fine_tune_type"], config["num_layers"], config["lora_parameters"]["keys"], config["lora_parameters"]["rank"]))
        mlx, peft = read_safetensors(self.folder / "mlx/adapters.safetensors"), read_safetensors(adapter / "adapter_model.safetensors")
        for module, rank, scale in (("self_attn.q_proj", 4, 10 / 2), ("mlp.down_proj", 2, 7 / math.sqrt(2))):
            name = f"model.layers.1.{module}"
            a, b = mlx[name + ".lora_a"], mlx[name + ".lora_b"]
            self.assertEqual(4, a[1][1])
            # scale x lora_a lora_b [in, out] is s (B A) transposed
            a, b = rows(a[1], floats(a[2])), rows(b[1], floats(b[2]))
            A, B = peft[f"base_model.model.{name}.lora_A.weight"], peft[f"base_model.model.{name}.lora_B.weight"]
            A, B = rows(A[1], floats(A[2])), rows(B[1], floats(B[2]))
            for i in (0, 3):
                for o in (0, 5):
                    theirs = config["lora_parameters"]["scale"] * sum(a[i][k] * b[k][o] for k in range(4))
                    self.assertAlmostEqual(scale * sum(B[o][k] * A[k][i] for k in range(rank)), theirs, places=6)

    def test_layers_from_the_last_on(self):
        out = self.trained("one", targets="regex:model.layers.1.(self_attn.q_proj|mlp.up_proj)")
        self.ok(*self.words(out, "mlx", "mlx"))
        config = json.loads((self.folder / "mlx/adapter_config.json").read_text())
        self.assertEqual(1, config["num_layers"])
        mixed = self.trained("mixed", targets="regex:model.layers.(0.self_attn.q_proj|1.mlp.up_proj)")
        self.ok(*self.words(mixed, "mlx", "mixed-mlx"))
        tensors = read_safetensors(self.folder / "mixed-mlx/adapters.safetensors")
        self.assertEqual(8, len(tensors))
        self.assertFalse(any(floats(tensors["model.layers.1.self_attn.q_proj.lora_b"][2])))
        self.ok(*self.words(self.folder / "mixed-mlx", "peft", "back"))
        self.assertEqual(sorted(read_safetensors(mixed / "adapter_model.safetensors")), sorted(read_safetensors(self.folder / "back/adapter_model.safetensors")))

    def test_gguf_as_llama_cpp_reads_it(self):
        adapter = self.with_patterns()
        path = self.folder / "a.gguf"
        self.ok(*self.words(adapter, "gguf", "a.gguf"))
        metadata, tensors = read_gguf(path)
        self.assertEqual({"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}, {k: v for k, v in metadata.items() if k != "adapter.lora.alpha"})
        self.assertEqual(["blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b", "blk.0.ffn_down.weight.lora_a", "blk.0.ffn_down.weight.lora_b"], sorted(tensors)[:4])
        peft = read_safetensors(adapter / "adapter_model.safetensors")
        for theirs, ours, rank, scale, heads in (("attn_q", "self_attn.q_proj", 4, 10 / 2, 4), ("ffn_down", "mlp.down_proj", 2, 7 / math.sqrt(2), None)):
            a, b = (rows(*tensors[f"blk.1.{theirs}.weight.lora_{x}"]) for x in "ab")
            A, B = (peft[f"base_model.model.model.layers.1.{ours}.lora_{x}.weight"] for x in "AB")
            A, B = rows(A[1], floats(A[2])), rows(B[1], floats(B[2]))
            # What llama.cpp multiplies by is alpha / rank of the tensor.
            theirs_scale = metadata["adapter.lora.alpha"] / len(a)
            for o in range(len(B)):
                # The converter's permutation: of each head, row (half, i) goes to (i, half).
                dim = len(B) // heads if heads else None
                to = o if not heads else o // dim * dim + (o % dim) % (dim // 2) * 2 + (o % dim) // (dim // 2)
                for i in (0, 7):
                    self.assertAlmostEqual(scale * sum(B[o][k] * A[k][i] for k in range(rank)), theirs_scale * sum(b[to][k] * a[k][i] for k in range(len(a))), places=6)

    def untied(self):
        """A model whose head is its own, and an adapter of its embedding."""
        model, adapter = self.folder / "untied", self.folder / "embedding"
        (self.folder / "config.json").write_text(json.dumps({**CONFIG, "tie_word_embeddings": False}))
        self.ok("pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--output", model, "--steps", 10, "--lr", 1e-2)
        self.ok("train", "--model", model, "--data", self.data, "--output", adapter, "--target", "embed_tokens,v_proj", "--rank", 3, "--alpha", 7, "--steps", 4, "--lr", 1e-2)
        return model, adapter

    def test_an_adapted_embedding(self):
        model, adapter = self.untied()
        peft = read_safetensors(adapter / "adapter_model.safetensors")
        def convert(source, to, output): return ["convert", "--model", model, "--adapter", source, "--to", to, "--output", self.folder / output]
        for to, output in (("mlx", "there"), ("gguf", "there.gguf")):
            with self.subTest(to):
                self.ok(*convert(adapter, to, output))
                self.ok(*convert(self.folder / output, "peft", f"back-{to}"))
                self.assertEqual(peft, read_safetensors(self.folder / f"back-{to}/adapter_model.safetensors"))
                self.assertEqual(self.loss("--model", model, "--adapter", adapter), self.loss("--model", model, "--adapter", self.folder / f"back-{to}"))
        A, B = (peft["base_model.model.model.embed_tokens.lora_embedding_" + x] for x in "AB")
        A, B = rows(A[1], floats(A[2])), rows(B[1], floats(B[2]))
        mlx, config = read_safetensors(self.folder / "there/adapters.safetensors"), json.loads((self.folder / "there/adapter_config.json").read_text())
        self.assertEqual(["model.embed_tokens", "self_attn.v_proj"], config["lora_parameters"]["keys"])
        metadata, gguf = read_gguf(self.folder / "there.gguf")
        # Both look a token's row of lora_a up: mlx-lm multiplies it by lora_b [r, d], llama.cpp by rows of lora_b [d, r].
        a, b = (mlx["model.embed_tokens.lora_" + x] for x in "ab")
        self.assertEqual(([260, 3], [3, 32]), (a[1], b[1]))
        a, b = rows(a[1], floats(a[2])), rows(b[1], floats(b[2]))
        self.assertEqual(([260, 3], [32, 3]), tuple(gguf[f"token_embd.weight.lora_{x}"][0] for x in "ab"))
        look_up, up = (rows(*gguf[f"token_embd.weight.lora_{x}"]) for x in "ab")
        for token in (101, 5):
            for out in (0, 31):
                wanted = 7 / 3 * sum(B[out][k] * A[k][token] for k in range(3))
                self.assertAlmostEqual(wanted, config["lora_parameters"]["scale"] * sum(a[token][k] * b[k][out] for k in range(3)), places=6)
                self.assertAlmostEqual(wanted, metadata["adapter.lora.alpha"] / 3 * sum(look_up[token][k] * up[out][k] for k in range(3)), places=6)
        self.assertTrue(any(A[k][101] for k in range(3)))
        # The embedding alone: no layer has any.
        alone = self.folder / "alone"
        self.ok("train", "--model", model, "--data", self.data, "--output", alone, "--target", "embed_tokens", "--steps", 1)
        self.ok(*convert(alone, "mlx", "alone-mlx"))
        self.assertEqual(0, json.loads((self.folder / "alone-mlx/adapter_config.json").read_text())["num_layers"])
        self.assertEqual(["model.embed_tokens.lora_a", "model.embed_tokens.lora_b"], sorted(read_safetensors(self.folder / "alone-mlx/adapters.safetensors")))
        # Beside a head that is tied to it, both ways.
        for source, to in ((adapter, "mlx"), (adapter, "gguf"), (self.folder / "there", "peft"), (self.folder / "there.gguf", "peft")):
            self.fails(3, *self.words(source, to, "o"), says=("model.embed_tokens", "expected a head of its own", "tied to it"))
        # Lists of other shapes.
        tensors = dict(mlx)
        tensors["model.embed_tokens.lora_a"] = ("F32", [3, 260], tensors["model.embed_tokens.lora_a"][2])
        write_safetensors(self.folder / "there/adapters.safetensors", tensors)
        self.fails(3, *convert(self.folder / "there", "peft", "o"), says=("model.embed_tokens.lora_a: expected", "260", "3"))
        data = (self.folder / "there.gguf").read_bytes()
        name = b"token_embd.weight.lora_a" + struct.pack("<IQQ", 2, 3, 260)
        self.assertEqual(1, data.count(name))
        (self.folder / "there.gguf").write_bytes(data.replace(name, b"token_embd.weight.lora_a" + struct.pack("<IQQ", 2, 260, 3)))
        self.fails(3, *convert(self.folder / "there.gguf", "peft", "o"), says="token_embd.weight.lora_a: expected [260, 260], found [3, 260]")

    def test_what_has_no_place_in_other_formats(self):
        tokens = self.trained("tokens", "--trainable-tokens", "5,17")
        head = self.trained("head", "--modules-to-save", "lm_head")
        dora = self.trained("dora", "--dora", targets="embed_tokens")
        for to in ("mlx", "gguf"):
            self.fails(3, *self.words(tokens, to, "o"), says=("model.embed_tokens", "trainable_token_indices", "PEFT's files alone"))
            self.fails(3, *self.words(head, to, "o"), says=("lm_head.weight", "trained beside them", "PEFT's files alone"))
            self.fails(3, *self.words(dora, to, "o"), says=("model.embed_tokens", "another kind of LoRA"))

    def test_a_file_with_more_in_it(self):
        """Arrays, other types of values, another alignment, f16."""
        text = lambda t: struct.pack("<Q", len(t)) + t.encode()
        a, b = [i / 8 - 2 for i in range(32)], [i / 4 for i in range(32)]
        values = [("general.architecture", 8, text("llama")), ("general.type", 8, text("adapter")), ("adapter.type", 8, text("lora")),
                  ("adapter.lora.alpha", 6, struct.pack("<f", 3)), ("general.alignment", 4, struct.pack("<I", 64)), ("x.flag", 7, b"\1"), ("x.long", 11, struct.pack("<q", -1)),
                  ("x.words", 9, struct.pack("<IQ", 8, 2) + text("one") + text("two"))]
        header = b"GGUF" + struct.pack("<IQQ", 3, 2, len(values)) + b"".join(text(key) + struct.pack("<I", kind) + value for key, kind, value in values)
        for name, dims, offset in (("blk.0.attn_q.weight.lora_a", (32, 1), 0), ("blk.0.attn_q.weight.lora_b", (1, 32), 64)):
            header += text(name) + struct.pack("<IQQIQ", 2, *dims, 1, offset)
        body = struct.pack("<32e", *a) + struct.pack("<32e", *b)
        path = self.folder / "more.gguf"
        path.write_bytes(header + b"\0" * (-len(header) % 64) + body)
        self.ok(*self.words(path, "peft", "out"))
        tensors = read_safetensors(self.folder / "out/adapter_model.safetensors")
        name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
        self.assertEqual(a, list(floats(tensors[name + "A.weight"][2])))
        # Of each head of 8, (i, half) goes back to (half, i).
        self.assertEqual([b[h * 8 + i * 2 + half] for h in range(4) for half in range(2) for i in range(4)], list(floats(tensors[name + "B.weight"][2])))
        self.assertEqual((1, 3), tuple(json.loads((self.folder / "out/adapter_config.json").read_text())[k] for k in ("r", "lora_alpha")))

    def test_what_is_refused(self):
        self.fails(2, *self.words(self.adapter, "peft", "o"), says='expected another format than the adapter\'s, found "peft"')
        self.fails(2, *self.words(self.adapter, "onnx", "o"), says="--to")
        self.fails(4, *self.words(self.folder / "none", "mlx", "o"), says="none")
        path = self.folder / "a.gguf"
        self.ok(*self.words(self.adapter, "gguf", "a.gguf"))
        self.fails(4, *self.words(self.adapter, "gguf", "a.gguf"), says="expected a file that does not exist yet")
        self.ok(*self.words(self.adapter, "gguf", "a.gguf", "--overwrite"))
        data = path.read_bytes()
        for broken, says in ((data[:-40], "bytes from"), (data[:30], "more bytes"), (data.replace(b"attn_q.weight", b"attn_x.weight", 1), "lora_a"),
                             (data.replace(b"llama", b"phi3\0"), "general.architecture"), (b"GGUF" + struct.pack("<I", 9) + data[8:], "version")):
            path.write_bytes(broken)
            self.fails(3, *self.words(path, "peft", "o"), says=("a.gguf", says))
        path.write_text("mine")
        self.fails(4, *self.words(self.adapter, "gguf", "a.gguf", "--overwrite"), says="expected an earlier output to overwrite")
        mlx = self.folder / "mlx"
        self.ok(*self.words(self.adapter, "mlx", "mlx"))
        tensors = read_safetensors(mlx / "adapters.safetensors")
        name = "model.layers.0.mlp.up_proj"
        write_safetensors(mlx / "adapters.safetensors", {**tensors, name + ".m": ("F32", [1], b"\0" * 4)})
        self.fails(3, *self.words(mlx, "peft", "o"), says=("DoRA", name + ".m"))
        write_safetensors(mlx / "adapters.safetensors", {n: t for n, t in tensors.items() if n != name + ".lora_b"})
        self.fails(3, *self.words(mlx, "peft", "o"), says=(name, "found lora_a alone"))
        bias = self.trained("bias", "--lora-bias")
        self.fails(3, *self.words(bias, "mlx", "o"), says="expected A and B alone")

    def test_numbers_that_are_not_finite(self):
        self.ok(*self.words(self.adapter, "gguf", "a.gguf"))
        path, earlier = self.folder / "a.gguf", (self.folder / "a.gguf").read_bytes()
        key = b"adapter.lora.alpha" + struct.pack("<I", 6)
        at = earlier.index(key) + len(key)
        for alpha, found in (("nan", "NaN"), ("inf", "Inf"), ("-inf", "-Inf")):
            path.write_bytes(earlier[:at] + struct.pack("<f", float(alpha)) + earlier[at + 4:])
            for to in ("peft", "mlx"):
                self.assertTrue(self.fails(3, *self.words(path, to, "o")).endswith(f"a.gguf: adapter.lora.alpha: expected a finite number, found {found}"))
        path.write_bytes(earlier)

        several = self.with_patterns()
        adapters = ((several, "model.layers.0.self_attn.q_proj.lora_b", "blk.0.attn_q.weight.lora_b"), (self.adapter, "lora_parameters.scale", "adapter.lora.alpha"))
        for number, (adapter, of_mlx, of_gguf) in enumerate(adapters):
            large = self.folder / f"large-{number}"
            shutil.copytree(adapter, large)
            config = json.loads((large / "adapter_config.json").read_text())
            (large / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 1e60}))
            self.fails(5, *self.words(large, "mlx", "o"), says=(of_mlx, "finite", "to save"))
            self.fails(5, *self.words(large, "gguf", "o"), says=(of_gguf, "finite", "to save"))
            self.fails(5, *self.words(large, "gguf", "a.gguf", "--overwrite"), says=(of_gguf, "finite", "to save"))
            self.assertEqual(earlier, path.read_bytes())

    @unittest.skipUnless(PYTHON and not subprocess.run([PYTHON, "-c", "import gguf"], capture_output=True).returncode, "SKIPPED: LORAGRAD_PYTHON has no gguf")
    def test_ggufs_own_reader(self):
        self.ok(*self.words(self.adapter, "gguf", "a.gguf"))
        words = ("import sys, gguf; r = gguf.GGUFReader(sys.argv[1]); print(r.get_field('general.type').contents(), r.get_field('adapter.lora.alpha').contents(), "
                 "len(r.tensors), [list(map(int, t.shape)) for t in r.tensors if t.name == 'blk.0.ffn_down.weight.lora_a'][0])")
        done = subprocess.run([PYTHON, "-c", words, str(self.folder / "a.gguf")], capture_output=True, text=True)
        self.assertEqual("adapter 12.0 28 [48, 4]", done.stdout.strip(), done.stderr)
