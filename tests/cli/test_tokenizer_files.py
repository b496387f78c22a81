"""Which of a folder's files decide on tokens and on the end of a text, through the commands that use them."""
import json, shutil, unittest

from support import CONFIG, SHARED, CliTest, run, write_rows

FAULTS = SHARED / "faults"


def faults(*names):
    """Skips, and says so, where the shared folder is not there."""
    found = sorted(path for name in names for path in FAULTS.glob(name))
    if not found: raise unittest.SkipTest(f"SKIPPED: no {FAULTS}")
    return found


class Folder(CliTest):
    def change(self, model, name, **members):
        """Sets members of one of the folder's JSON files; a file that is not there begins empty."""
        path = model / name
        path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **members}))

    def tokenize(self, model, *texts):
        lines = self.ok("tokenize", "--model", model, stdin="".join(json.dumps(t) + "\n" for t in texts)).splitlines()
        return [json.loads(line)["ids"] for line in lines]

    def warnings(self, *words):
        done = run(*words)
        self.assertEqual(0, done.returncode, done.stderr)
        return [line for line in done.stderr.splitlines() if line.startswith("warning: ")]


class Tokens(Folder):
    def test_the_folders_of_faults(self):
        for fault in faults("tokens-*"):
            with self.subTest(fault.name):
                rows = json.loads((fault / "encodings.json").read_text())
                self.assertEqual([row["ids"] for row in rows], self.tokenize(fault / "model", *(row["text"] for row in rows)))

    def test_numbers_that_nobody_uses(self):
        model = self.copy_model()
        path = model / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 10 ** 30, "x": float("nan"), "y": [float("-inf"), 1e300]})[:-1] + ', "z": 1e999}')
        self.assertEqual([list(b"ab")], self.tokenize(model, "ab"))
        data = self.folder / "rows.jsonl"
        data.write_text('{"text": "ab", "id": 123456789012345678901234567890, "score": NaN, "more": [Infinity, -1e999]}\n' * 3)
        self.assertEqual(3, self.json("eval", "--model", model, "--data", data)["rows"])
        data.write_text('{"input_ids": [97, 98], "labels": [97, NaN]}\n')
        self.fails(3, "eval", "--model", model, "--data", data, says=("rows.jsonl:1: labels[1]: expected an integer", "found NaN"))

    def test_a_class_that_would_replace_a_part_is_a_warning(self):
        model = self.copy_model()
        self.change(model, "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")
        said = self.warnings("eval", "--model", model, "--data", self.data)
        self.assertEqual(1, len(said), said)
        self.assertIn("tokenizer.json: pre_tokenizer is followed, where transformers' GPT2Tokenizer would not", said[0])

    def test_what_is_not_read_is_told_with_what_to_do(self):
        model = self.copy_model()
        rows = write_rows(self.folder / "ids.jsonl", [{"input_ids": [1, 2, 3]}])
        for name in ("tokenizer.json", "tokenizer_config.json"): (model / name).unlink()
        for name, says in (("tokenizer.model", ("found tokenizer.model alone", "save_pretrained")), ("vocab.json", ("found vocab.json without merges.txt",)),
                           ("merges.txt", ("found merges.txt without vocab.json",))):
            with self.subTest(name):
                (model / name).write_text("{}")
                self.fails(4, "tokenize", "--model", model, stdin="", says=(model, *says))
                self.fails(3, "eval", "--model", model, "--data", self.data, says=("valid.jsonl:1: text", *says))
                # Rows of ids need none.
                self.assertEqual(1, self.json("eval", "--model", model, "--data", rows)["rows"])
                (model / name).unlink()

    def test_pretrain_keeps_what_the_files_beside_say(self):
        given = self.folder / "given"
        given.mkdir()
        shutil.copy(self.model / "tokenizer.json", given)
        (given / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|stop|>", "extra_special_tokens": ["<|x|>"]}))
        (self.folder / "config.json").write_text(json.dumps(CONFIG))
        for tokenizer in (given / "tokenizer.json", given):
            with self.subTest(tokenizer.name):
                out = self.folder / f"out-{tokenizer.name}"
                self.ok("pretrain", "--config-json", self.folder / "config.json", "--tokenizer", tokenizer, "--data", self.data, "--output", out, "--steps", 1)
                self.assertEqual([[97, 258, 98, 257]], self.tokenize(out, "a<|x|>b<|stop|>"))
                self.assertEqual((given / "tokenizer_config.json").read_bytes(), (out / "tokenizer_config.json").read_bytes())
                for name in ("config.json", "generation_config.json"): self.assertEqual(257, json.loads((out / name).read_text())["eos_token_id"])

    def test_pretrain_with_a_tokenizer_that_stands_alone(self):
        (self.folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "vocab_size": 256, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}))
        tokenizer = json.loads((self.model / "tokenizer.json").read_text())
        tokenizer["added_tokens"] = []
        del tokenizer["model"]["vocab"]["<|endoftext|>"]
        for name in ("own.json", "alone/tokenizer.json"):
            with self.subTest(name):
                (self.folder / name).parent.mkdir(exist_ok=True)
                (self.folder / name).write_text(json.dumps(tokenizer))
                out = self.folder / name.replace("/", "-")[:-5]
                said = self.warnings("pretrain", "--config-json", self.folder / "config.json", "--tokenizer", self.folder / name, "--data", self.data, "--output", out, "--steps", 1)
                self.assertEqual(1, len(said), said)
                self.assertIn("no end token", said[0])
                # GPT-2's class would have given it one.
                self.assertEqual([list(b"<|endoftext|>")], self.tokenize(out, "<|endoftext|>"))
                self.assertIsNone(json.loads((out / "config.json").read_text())["eos_token_id"])
                # An empty list is written as none: transformers' generation fails with one.
                config = self.folder / "config.json"
                config.write_text(json.dumps(json.loads(config.read_text()) | {"eos_token_id": []}))


class EndTokens(Folder):
    def ends(self, model, *more):
        """The last token of the row that check shows, and what was warned of."""
        words = ("check", "--model", model, "--data", self.data, "--json", *more)
        return json.loads(run(*words).stdout)["sample"]["spans"][-1]["ids"][-1], self.warnings(*words)

    def model_with(self, generation, config, tokenizer):
        model = self.copy_model(f"model-{len(list(self.folder.iterdir()))}")
        self.change(model, "generation_config.json", eos_token_id=generation)
        self.change(model, "config.json", eos_token_id=config)
        self.change(model, "tokenizer_config.json", eos_token=tokenizer)
        return model

    def test_one_source_decides_and_the_first_is_appended(self):
        stop, other = "<|endoftext|>", "<|other|>"  # 256, 257
        for generation, config, tokenizer, end, says in (
                (256, 1, stop, 256, None), (257, 256, stop, 257, "\"<|endoftext|>\" (256), is not among"), ([257, 256], 1, stop, 257, None), (None, [256, 3], stop, 256, None),
                ([], 256, stop, 256, None), (None, None, stop, 256, None), (None, None, other, 257, None), ([], [], other, 257, None), (256, None, other, 256, "\"<|other|>\" (257), is not among"),
                (256, 999, stop, 256, None), (256, "x", None, 256, None), (None, None, None, ord("."), "no end token")):
            with self.subTest(generation=generation, config=config, tokenizer=tokenizer):
                last, said = self.ends(self.model_with(generation, config, tokenizer))
                self.assertEqual(end, last)
                self.assertEqual([], said) if says is None else self.assertIn(says, said[0])
                self.assertLessEqual(len(said), 1)

    def test_no_eos_says_nothing(self):
        self.assertEqual((ord("."), []), self.ends(self.model_with(None, None, None), "--no-eos"))

    def test_train_eval_and_generate_follow_the_same_rule(self):
        rows = {}
        for name, sources in (("tokenizer", (None, None, "<|endoftext|>")), ("config", (None, 256, "<|endoftext|>")), ("generation", ([256, 5], 7, "<|endoftext|>"))):
            model = self.model_with(*sources)
            rows[name] = [self.json("eval", "--model", model, "--data", self.data)["loss"],
                          self.json("train", "--model", model, "--data", self.data, "--output", self.folder / f"out-{name}", "--steps", 1)["supervised_tokens"],
                          self.json("generate", "--model", model, "--adapter", self.adapter, "--prompt", "Ann", "--max-tokens", 60)["ids"]]
            self.assertEqual(256, rows[name][2][-1])
        self.assertEqual(rows["tokenizer"], rows["config"])
        self.assertEqual(rows["tokenizer"], rows["generation"])

    def test_each_of_them_ends_generation(self):
        words = lambda model: ("generate", "--model", model, "--adapter", self.adapter, "--prompt", "Ann", "--max-tokens", 20)
        ids = self.json(*words(self.model_with(250, None, None)))["ids"]
        stop = ids[4]
        self.assertEqual(ids[:ids.index(stop) + 1], self.json(*words(self.model_with([250, stop], None, None)))["ids"])

    def test_an_id_that_is_none_is_the_files_fault(self):
        for name, other in (("config.json", "generation_config.json"), ("generation_config.json", "config.json")):
            for bad in (999, 260, -1, 1.5, "2", [256, 999], True):
                with self.subTest(name=name, bad=bad):
                    model = self.copy_model("bad")
                    self.change(model, other, eos_token_id=None)
                    self.change(model, name, eos_token_id=bad)
                    for command in ("check", "eval"):
                        self.fails(3, command, "--model", model, "--data", self.data, says=(model / name, "eos_token_id", "below vocab_size (260)"))
                    self.fails(3, "generate", "--model", model, "--prompt", "a", says=(model / name, "eos_token_id"))
                    shutil.rmtree(model)

    def test_a_beginning_that_is_none_matters_to_an_empty_prompt_alone(self):
        model = self.copy_model()
        self.change(model, "config.json", bos_token_id=-1)
        self.json("generate", "--model", model, "--prompt", "a", "--max-tokens", 1)
        self.fails(2, "generate", "--model", model, "--prompt", "", says="no bos_token_id in its vocabulary")


class Holes(Folder):
    def test_the_fault(self):
        fault, = faults("vocabulary-hole")
        expected = json.loads((fault / "expected.json").read_text())
        result = self.json("generate", "--model", fault / "model", "--prompt", expected["prompt"], "--max-tokens", expected["max_tokens"])
        self.assertEqual((expected["ids"], ""), (result["ids"], result["text"]))

    def test_an_id_without_a_token_is_data_like_any_other(self):
        model = self.copy_model()
        tokenizer = json.loads((model / "tokenizer.json").read_text())
        del tokenizer["model"]["vocab"]["c"]  # a hole at 99; 257 to 259 are padding of the head
        (model / "tokenizer.json").write_text(json.dumps(tokenizer))
        rows = write_rows(self.folder / "rows.jsonl", [{"input_ids": [97, 99, 98, 259, 257, 97]}])
        span, = self.json("check", "--model", model, "--data", rows)["sample"]["spans"][1:]
        self.assertEqual(([99, 98, 259, 257, 97], "ba"), (span["ids"], span["text"]))
        self.ok("train", "--model", model, "--data", rows, "--output", self.folder / "out", "--steps", 1)
        for command in ("check", "eval"):
            self.fails(3, command, "--model", model, "--data", write_rows(self.folder / "rows.jsonl", [{"input_ids": [97, 260]}]), says=("rows.jsonl:1", "260"))
