"""What an error says of files and names that people have: in one line of about 400 characters, with what to do."""
import gzip, json, os, pathlib, re, shutil, subprocess, unittest, zipfile

from support import BINARY, CliTest, SHARED, read_safetensors, run, write_rows

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d" * 32 + "\nsize 548118077\n"
PYTORCH_FILES = pathlib.Path(__file__).parents[1] / "io" / "golden"
KNOWN_NAMES = pathlib.Path(__file__).parents[2] / "app/flags/known_names.cpp"
COMMANDS = ["train", "check", "eval", "generate", "tokenize", "merge", "inspect", "pretrain"]
LONGEST = 400 + len("warning: ")


class ErrorTest(CliTest):
    def fails(self, *arguments, **options):
        line = super().fails(*arguments, **options)
        self.assertLessEqual(len(line), LONGEST, line)
        return line

    def eval(self, data, code=3, says=(), model=None, **options):
        return self.fails(code, "eval", "--model", model or self.model, "--data", data, says=says, **options)


class OtherFiles(ErrorTest):
    def test_a_git_lfs_pointer_for_any_file(self):
        model = self.copy_model()
        for name in ("model.safetensors", "config.json", "tokenizer.json", "generation_config.json"):
            with self.subTest(name):
                whole = (model / name).read_bytes()
                (model / name).write_text(POINTER)
                self.eval(self.data, model=model, says=(model / name, "Git LFS pointer", "548118077 bytes", "git lfs pull"))
                (model / name).write_bytes(whole)

    def test_a_pointer_for_a_shard_and_its_index(self):
        model = self.copy_model()
        weights = model / "model.safetensors"
        names = list(read_safetensors(weights))
        weights.rename(model / "one.safetensors")
        index = model / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {name: "one.safetensors" for name in names}}))
        self.ok("eval", "--model", model, "--data", self.data)
        (model / "one.safetensors").write_text(POINTER)
        self.eval(self.data, model=model, says=(model / "one.safetensors", "git lfs pull"))
        index.write_text(POINTER)
        self.eval(self.data, model=model, says=(index, "git lfs pull"))

    def test_a_pointer_for_a_slow_tokenizers_files(self):
        model = self.copy_model()
        vocabulary = json.loads((model / "tokenizer.json").read_text())["model"]["vocab"]
        (model / "tokenizer.json").unlink()
        (model / "vocab.json").write_text(json.dumps(vocabulary))
        (model / "merges.txt").write_text("#version: 0.2\n")
        (model / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
        for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
            with self.subTest(name):
                before = (model / name).read_text() if (model / name).exists() else "{}"
                (model / name).write_text(POINTER)
                self.fails(3, "tokenize", "--model", model, stdin='"a"\n', says=(model / name, "git lfs pull"))
                (model / name).write_text(before)

    def test_a_pointer_for_an_adapters_files_and_for_data(self):
        adapter = pathlib.Path(shutil.copytree(self.adapter, self.folder / "adapter"))
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            with self.subTest(name):
                whole = (adapter / name).read_bytes()
                (adapter / name).write_text(POINTER)
                self.fails(3, "eval", "--model", self.model, "--adapter", adapter, "--data", self.data, says=(adapter / name, "git lfs pull"))
                (adapter / name).write_bytes(whole)
        for name in ("rows.jsonl", "text.txt"):
            (self.folder / name).write_text(POINTER)
            self.eval(self.folder / name, says=(name, "git lfs pull"))
            self.fails(3, "inspect", self.folder / name, says=(name, "git lfs pull"))

    def test_web_pages_empty_files_archives_and_utf16(self):
        model = self.copy_model()
        for content, said in ((b"", "an empty file"), (b"<!DOCTYPE html><html></html>", "a web page"), (gzip.compress(b"{}"), "a gzip file"),
                              ("{}".encode("utf-16"), "UTF-16")):
            for name in ("config.json", "tokenizer.json", "generation_config.json", "model.safetensors"):
                if said == "UTF-16" and name == "model.safetensors": continue
                with self.subTest(name=name, said=said):
                    whole = (model / name).read_bytes()
                    (model / name).write_bytes(content)
                    self.eval(self.data, model=model, says=(model / name, said))
                    (model / name).write_bytes(whole)
        rows = self.folder / "rows.jsonl"
        for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
            rows.write_bytes('{"text": "ab"}\n'.encode(encoding))
            self.eval(rows, says=("rows.jsonl", "UTF-16", "UTF-8"))
        (self.folder / "text.txt").write_bytes("abc".encode("utf-16"))
        self.eval(self.folder / "text.txt", says=("text.txt", "UTF-16"))
        done = subprocess.run([BINARY, "tokenize", "--model", self.model], input='"ab"\n'.encode("utf-16"), capture_output=True)
        self.assertEqual(3, done.returncode)
        self.assertIn(b"error: stdin:1: expected JSON, found UTF-16", done.stderr)

    def test_weights_of_other_formats(self):
        model = self.copy_model()
        with zipfile.ZipFile(model / "model.safetensors", "w") as archive: archive.writestr("a", "b")
        self.eval(self.data, model=model, says="a zip archive")
        (model / "model.safetensors").write_bytes(b"GGUF\x03\0\0\0" + bytes(100))
        self.eval(self.data, model=model, says="a GGUF file")
        (model / "model.safetensors").write_text("Entry not found")
        self.eval(self.data, model=model, says='a text that begins "Entry not found"')
        (model / "model.safetensors").unlink()
        (model / "pytorch_model.bin").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")
        self.eval(self.data, model=model, says=("pytorch_model.bin", "PyTorch's format from before 1.6: torch.load it and torch.save it anew"))
        (model / "pytorch_model.bin").write_bytes((PYTORCH_FILES / "attack.bin").read_bytes())
        self.eval(self.data, model=model, says=("pytorch_model.bin: data.pkl: byte", "found GLOBAL posix.system"))


class Data(ErrorTest):
    def rows(self, text, name="rows.jsonl"):
        (self.folder / name).write_text(text)
        return self.folder / name

    def both(self, path, says):
        self.eval(path, says=says)
        self.fails(3, "inspect", path, says=says)

    def test_json_of_another_shape(self):
        rows = [{"text": "ab\u2028"}, {"text": 'c{"'}]
        array = "'.[]' 'rows.jsonl' > lines.jsonl"
        for text, says in ((json.dumps(rows), ("rows.jsonl:1", "a JSON array", array)),
                           (json.dumps(rows, indent=2), ("rows.jsonl:1", "a JSON array over several lines", array)),
                           ("[\n", "a JSON array"), ("\n [" + ",\n".join(map(json.dumps, rows)) + "]", ("rows.jsonl:2", "a JSON array", array)),
                           ("\n".join(json.dumps(row, indent=1) for row in rows), ("rows.jsonl:1", "an object over several lines", "jq -c . 'rows.jsonl'")),
                           ('{"text":\n"a"}\n', "an object over several lines"),
                           ('{"text": "a"}{"text": "b"}\n', ("several objects", "jq -c .")),
                           ('{"text": "a"}, {"text": "b"}\n', "several objects"),
                           ('{"text": "a"}\n{"text": "b\nc"}\n', ("rows.jsonl:2", "a string that goes on in the next line")),
                           ('{"text": "a"}\n{"text": "b', ("rows.jsonl:2", "cut off")), ('{"text": "a"', "cut off"),
                           ("{'text': 'a'}\n", "a Python dict in single quotes"), ("{ 'text': \"a\"}\n", "a Python dict"),
                           ('"ab"\n', ("rows.jsonl:1", "expected an object with text", 'found "ab"')), ("3\n", "found 3"), ("[1, 2]\n[3, 4]\n", "found [1, 2]"),
                           ('{"text": "a"} x\n', "rows.jsonl:1: byte 15"), ("text,label\n", "rows.jsonl:1: byte")):
            with self.subTest(text): self.both(self.rows(text), says if isinstance(says, tuple) else (says,))

    def test_empty_lines_are_none(self):
        self.assertEqual(2, self.json("eval", "--model", self.model, "--data", self.rows('\n{"text": "ab"}\n  \n\r\n{"text": "cd"}\n\n'))["rows"])

    def test_the_commands_do_what_they_say(self):
        if not shutil.which("jq"): self.skipTest("SKIPPED: no jq")
        for text in (json.dumps([{"text": "ab"}, {"text": "cd"}]), '{\n"text": "ab"\n}\n{\n"text": "cd"\n}'):
            path = self.rows(text)
            line = self.eval(path)
            os.system(f"cd {self.folder} && " + line[line.index("jq "):])
            self.assertEqual(2, self.json("eval", "--model", self.model, "--data", self.folder / "lines.jsonl")["rows"])
            (self.folder / "lines.jsonl").unlink()

    def test_other_endings(self):
        self.eval(self.rows(json.dumps([{"text": "a"}]), "d.json"), says=("d.json", '".json"', "jq -c '.[]' 'd.json'"))
        self.eval(self.rows(json.dumps({"data": 1}, indent=1), "d.json"), says="jq -c . 'd.json'")
        self.eval(self.rows('{"text": "a"}\n{"text": "b"}\n', "d.json"), says="name it .jsonl")
        for name, says in (("d.csv", "pandas.read_csv('d.csv').to_json"), ("d.parquet", "pandas.read_parquet('d.parquet')"), ("d.jsonl.gz", "gunzip 'd.jsonl.gz'"),
                           ("d.arrow", "Dataset.from_file('d.arrow')"), ("d.zip", "unzip"), ("d.doc", '".doc"')):
            with self.subTest(name): self.eval(self.rows("x", name), says=(name, "expected a .jsonl or .txt file", says))

    def test_a_folder_without_the_split(self):
        folder = self.folder / "rows"
        (folder / "data").mkdir(parents=True)
        (folder / ".git").mkdir()
        (folder / ".git" / "x.jsonl").touch()
        self.eval(folder, 4, says=(folder, "expected valid.jsonl", "found no file"))
        (folder / "README.md").touch()
        (folder / "data" / "train-00000-of-00001.parquet").touch()
        self.eval(folder, 4, says=("found data/train-00000-of-00001.parquet, README.md", "read_parquet('train-00000-of-00001.parquet')"))
        for i in range(10000): (folder / f"part-{i:05}.json").touch()
        self.eval(folder, 4, says=("part-00000.json, ", "and 9,9", " more"))

    def test_a_name_of_the_hub(self):
        self.eval("org/rows", 4, says="hf download org/rows --repo-type dataset", env={"HF_HUB_CACHE": str(self.folder)})


class Models(ErrorTest):
    def test_a_repository_of_the_hubs_cache(self):
        for kind, source, flag in (("model", self.model, "--model"), ("adapter", self.adapter, "--adapter")):
            root = self.folder / "hub" / f"models--org--{kind}"
            snapshot = root / "snapshots" / ("0a" * 20)
            for name in ("refs", "blobs"): (root / name).mkdir(parents=True)
            shutil.copytree(source, snapshot)
            (root / "refs" / "main").write_text("0a" * 20)
            shutil.copytree(source, root / "snapshots" / ("0b" * 20))
            model = [] if kind == "model" else ["--model", self.model]
            for path in (root, root / "snapshots", root / "blobs"):
                with self.subTest(path): self.fails(4, "eval", *model, flag, path, "--data", self.data, says=(path, snapshot))
            name, env = f"org/{kind}", {"HF_HUB_CACHE": str(self.folder / "hub")}
            self.fails(4, "eval", *model, flag, name, "--data", self.data, says=(name, f"hf download {name}"))
            results = (self.json("eval", *model, flag, path, "--data", self.data, env=env)["loss"] for path in (name, snapshot, f"https://huggingface.co/{name}"))
            self.assertEqual(1, len(set(results)))
        self.fails(4, "tokenize", "--model", self.folder / "hub" / "models--org--model", says="snapshots/0a0a", stdin="")
        self.fails(4, "inspect", self.folder / "hub" / "models--org--model", says="snapshots/0a0a")
        self.assertEqual(str(self.folder / "hub" / "models--org--model" / "snapshots" / ("0a" * 20)), self.json("inspect", "org/model", env=env)["path"])
        self.assertEqual("[97]", json.dumps(json.loads(self.ok("tokenize", "--model", "org/model", stdin='"a"\n', env=env))["ids"]))
        for command in (["eval", "--data", self.data], ["generate", "--prompt", "a", "--max-tokens", 1]):
            self.ok(*command, "--model", "org/model", "--adapter", "org/adapter:0.5", env=env)
        self.ok("generate", "--model", "org/model", "--prompt", "a", "--max-tokens", 1, "--adapter", "org/adapter", "--adapter", "org/adapter:-1", env=env)
        # What comes of it calls its base by the hub's name, which is one elsewhere too.
        self.ok("train", "--model", "org/model", "--init-adapter", "org/adapter", "--data", self.data, "--steps", 1, "--output", self.folder / "trained", env=env)
        self.assertEqual("org/model", json.loads((self.folder / "trained" / "adapter_config.json").read_text())["base_model_name_or_path"])
        self.assertIn("\nbase_model: org/model\n", (self.folder / "trained" / "README.md").read_text().replace('"', ""))
        self.assertIn("all_parameters", self.json("inspect", self.folder / "trained", env=env))
        self.ok("merge", "--model", "org/model", "--adapter", "org/adapter", "--output", self.folder / "merged", env=env)
        self.assertIn("\nbase_model: org/model\n", (self.folder / "merged" / "README.md").read_text().replace('"', ""))
        # A folder that is here wins.
        (self.folder / "org" / "model").mkdir(parents=True)
        done = run("inspect", "org/model", env=env, cwd=self.folder)
        self.assertEqual(3, done.returncode)
        self.assertIn("org/model: expected config.json (a model)", done.stderr)
        self.fails(4, "eval", "--model", self.folder / "hub", "--data", self.data, says="org/adapter, org/model")

    def test_a_name_of_the_hub_that_is_not_here(self):
        self.eval(self.data, 4, model="facebook/opt-125m", says=("facebook/opt-125m: ", "hf download facebook/opt-125m"), env={"HF_HOME": str(self.folder)})

    def test_a_file_for_a_folder(self):
        for name in ("model.safetensors", "config.json"): self.eval(self.data, 4, model=self.model / name, says=f"give its folder, {self.model}")
        self.fails(4, "eval", "--model", self.model, "--adapter", self.adapter / "adapter_model.safetensors", "--data", self.data, says=f"give its folder, {self.adapter}")
        (self.folder / "x.gguf").write_bytes(b"GGUF")
        self.eval(self.data, 4, model=self.folder / "x.gguf", says="GGUF")

    def test_one_for_the_other(self):
        self.eval(self.data, 4, model=self.adapter, says=("expected config.json", "--adapter"))
        self.fails(4, "eval", "--model", self.model, "--adapter", self.model, "--data", self.data, says=("expected adapter_config.json", "--model"))
        self.copy_model("one")
        self.eval(self.data, 4, model=self.folder, says="found it in one within")


class Names(ErrorTest):
    table = re.findall(r'^    \{"([^"]+)", "([^"]*)", "(.*)"\},$', KNOWN_NAMES.read_text(), re.MULTILINE)

    def setUp(self):
        super().setUp()
        self.flags = {command: set(re.findall(r"^  --([a-z0-9-]+)", self.ok(command, "--help"), re.MULTILINE)) for command in COMMANDS}

    def expected(self, name, command):
        """The first line of the table for this name whose flags the subcommand has."""
        for other, flag, note in self.table:
            needed = flag.split()[:1] + re.findall(r"--([a-z][a-z0-9-]*)", note)
            if other == name and self.flags[command].issuperset(needed): return flag, note

    def test_every_flag_of_the_table_is_one(self):
        self.assertGreater(len(self.table), 150)
        self.assertEqual(KNOWN_NAMES.read_text().count("\n    {\""), len(self.table))  # none is written over two lines
        everything = set().union(*self.flags.values())
        for name, flag, note in self.table:
            with self.subTest(name):
                self.assertTrue(flag or note)
                if flag: self.assertIn(flag.split()[0], everything)
                for other in re.findall(r"--([a-z][a-z0-9-]*)", note): self.assertIn(other, everything)

    def test_every_name_is_told(self):
        checked = 0
        for name, flag, note in self.table:
            for command in [c for c in COMMANDS if (flag, note) == self.expected(name, c)][:1]:
                if name in self.flags[command]: continue
                checked += 1
                dashes = "-" if len(name) == 1 else "--"
                for spelled in {dashes + name, dashes + name.replace("-", "_")}:
                    with self.subTest(spelled): self.fails(2, command, spelled, "1", says=(f"unknown flag {spelled}: ", f"did you mean --{flag}?" if flag else note.replace("\\", "")))

        self.assertGreater(checked, 190)

    def test_those_that_are_asked_for_most(self):
        for word, says in (("--learning-rate", "--lr"), ("--learning_rate=1e-4", "--lr"), ("--lora-r", "--rank"), ("--lora_alpha", "--alpha"), ("--lora_dropout", "--dropout"),
                           ("--num_train_epochs", "--epochs"), ("--per_device_train_batch_size", "--batch-size"), ("--gradient_accumulation_steps", "--grad-accum"),
                           ("--max-seq-length", "--seq-len"), ("--max_seq_length", "--seq-len"), ("--max_steps", "--steps"), ("--warmup_steps", "--warmup-steps"),
                           ("--lr_scheduler_type", "--schedule"), ("--weight_decay", "--weight-decay"), ("--max_grad_norm", "--clip"), ("--target_modules", "--target"),
                           ("--model_name_or_path", "--model"), ("--output_dir", "--output"), ("--bf16", "--precision bf16"), ("--gradient_checkpointing", "--checkpoint-activations"),
                           ("--iters", "--steps"), ("learning_rate=1e-4", "--lr")):
            with self.subTest(word): self.fails(2, "train", word, says=f"did you mean {says}?")

    def test_what_means_another_thing_is_not_suggested(self):
        for command, word in (("generate", "--top-k"), ("train", "--warmup_ratio"), ("train", "--num-layers"), ("train", "--frobnicate"), ("train", "--steps-per-epoch"),
                              ("train", "--data-parallel-size"), ("generate", "--learning-rate"), ("pretrain", "--num-layers"), ("merge", "--rate")):
            with self.subTest(word): self.assertNotIn("did you mean", self.fails(2, command, word, says="unknown flag"))


class Length(ErrorTest):
    """A million characters in any place make one line of about 400."""
    long = "k" * 1_000_000

    def test_long_keys_values_and_tokens(self):
        model = self.copy_model()
        rows = self.folder / "rows.jsonl"
        for row in ({self.long: 1}, {"text": [self.long]}, {"input_ids": self.long}, self.long, {"text": {self.long: {self.long: 1}}}, {"messages": self.long}):
            write_rows(rows, [row])
            self.eval(rows, says="rows.jsonl:1")
        rows.write_text('{"text": "' + self.long)
        self.eval(rows)
        rows.write_text(self.long)
        self.eval(rows)
        tokenizer = json.loads((model / "tokenizer.json").read_text())
        (model / "tokenizer.json").write_text(json.dumps({**tokenizer, self.long: 1, "added_tokens": [{"id": 3, "content": self.long, "special": True}]}))
        self.eval(self.data, model=model)
        for change in ({"model_type": self.long}, {"hidden_act": self.long}, {"rope_scaling": {"rope_type": self.long}}, {"num_hidden_layers": [self.long]}):
            config = json.loads((self.model / "config.json").read_text())
            (model / "config.json").write_text(json.dumps({**config, **change}))
            self.eval(self.data, model=model, says=tuple(change))

    def test_long_words_on_the_command_line(self):
        word, required = "k" * 100_000, ["--model", self.model, "--data", self.data, "--output", self.folder / "o"]
        for flag in ("--rank", "--lr", "--schedule", "--max-memory", "--target", "--metrics", "--eval-data"):
            with self.subTest(flag):
                done = run("train", *required, flag, word)
                self.assertNotEqual(0, done.returncode)
                self.assertLessEqual(max(map(len, done.stderr.splitlines())), LONGEST)
        self.fails(2, "train", "--" + word)
        self.fails(2, "train", "-" + word)
        self.fails(2, word)
        self.fails(2, "inspect", "a", word)
        self.fails(4, "inspect", word)
        self.fails(3, "train", *required, "--target", ",".join(f"none{i}" for i in range(5000)))
        for path in (word, "/".join("d" * 200 for _ in range(15)), " ".join("d" * 9 for _ in range(300))):
            self.fails(4, "eval", "--model", path, "--data", self.data)
            self.fails(4, "eval", "--model", self.model, "--data", path)
            self.fails(4, "eval", "--model", self.model, "--adapter", path, "--data", self.data)

    def test_a_deep_path_keeps_both_ends(self):
        deep = self.folder
        for _ in range(12): deep /= "d" * 60
        deep.mkdir(parents=True)
        (deep / "rows.jsonl").write_text("{}\n")
        line = self.eval(deep / "rows.jsonl", says=("rows.jsonl:1", "expected an object with text, prompt and completion", "found {}"))
        self.assertIn(str(self.folder)[:20], line)

    def test_ten_thousand_layers(self):
        model = self.copy_model()
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 10000}))
        self.eval(self.data, model=model, says=("missing: model.layers.2.", " more"))
        (model / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
        self.eval(self.data, model=model, says="unexpected: model.layers.1.")

    def test_ten_thousand_names_of_an_adapter(self):
        adapter = pathlib.Path(shutil.copytree(self.adapter, self.folder / "adapter"))
        config = json.loads((adapter / "adapter_config.json").read_text())
        (adapter / "adapter_config.json").write_text(json.dumps({**config, "target_modules": config["target_modules"] + [f"nowhere{i}" for i in range(10000)]}))
        done = run("eval", "--model", self.model, "--adapter", adapter, "--data", self.data)
        warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
        self.assertEqual((0, 1), (done.returncode, len(warnings)))
        self.assertIn('"nowhere0", "nowhere1", ', warnings[0])
        self.assertRegex(warnings[0], r'and 9,9\d\d more match no module')
        self.assertLessEqual(len(warnings[0]), LONGEST)

    def test_an_index_of_ten_thousand(self):
        model = self.copy_model()
        (model / "model.safetensors").rename(model / "one.safetensors")
        (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {f"t{i}": "one.safetensors" for i in range(10000)}}))
        self.eval(self.data, model=model, says=("weight_map: expected every tensor in exactly the shard listed, found unlisted ", " more"))

    def test_the_published_case(self):
        if not (SHARED / "data" / "stories260k").is_dir(): self.skipTest(f"SKIPPED: no {SHARED}/data/stories260k")
        model = pathlib.Path(shutil.copytree(SHARED / "data" / "stories260k", self.folder / "m", copy_function=shutil.copyfile))
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 10000}))
        self.eval(SHARED / "faults" / "stress" / "d.jsonl", model=model, says=("missing: model.layers.5.self_attn.q_proj.weight, ", " more"))


class Culprits(ErrorTest):
    def test_a_link_that_leads_nowhere_is_no_absent_file(self):
        model = self.copy_model()
        for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "model.safetensors"):
            with self.subTest(name):
                before = (model / name).read_bytes() if (model / name).exists() else None
                (model / name).unlink(missing_ok=True)
                (model / name).symlink_to("../../blobs/gone")
                self.eval(self.data, 4, model=model, says=(model / name, "cannot read"))
                (model / name).unlink()
                if before is not None: (model / name).write_bytes(before)
        self.ok("eval", "--model", model, "--data", self.data)

    def test_a_token_above_the_models_vocabulary_is_the_tokenizers(self):
        model = self.copy_model()
        tokenizer = json.loads((model / "tokenizer.json").read_text())
        for id, content in ((257, "<a>"), (258, "<b>"), (259, "<c>"), (260, "<far>")):
            tokenizer["added_tokens"].append({"id": id, "content": content, "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False})
        (model / "tokenizer.json").write_text(json.dumps(tokenizer))
        culprit = (model / "tokenizer.json", '"<far>"', "below the model's vocab_size, 260, found 260")
        self.eval(write_rows(self.folder / "rows.jsonl", [{"text": "a"}, {"text": "b<far>"}]), model=model, says=(*culprit, "rows.jsonl:2"))
        (self.folder / "a.txt").write_text("ab<far>c")
        self.eval(self.folder / "a.txt", model=model, says=(*culprit, "a.txt"))
        self.fails(3, "generate", "--model", model, "--prompt", "a<far>", says=(*culprit, "prompt"))
        self.eval(write_rows(self.folder / "rows.jsonl", [{"input_ids": [1, 300]}]), model=model, says=("rows.jsonl:1: input_ids[1]: expected an integer in [0, 259], found 300"))


if __name__ == "__main__":
    unittest.main()
