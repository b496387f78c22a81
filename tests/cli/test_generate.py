import json, signal, subprocess

from support import BINARY, CliTest, on_processor, run, write_rows


class Generate(CliTest):
    def words(self, *more): return ["generate", "--model", self.model, "--prompt", "Ann", "--max-tokens", 20, *more]

    def test_greedy_is_the_default_and_repeats(self):
        result = self.json(*self.words())
        self.assertEqual(["text", "ids", "prompt_ids", "tokens_per_s"], list(result))
        self.assertEqual(list(b"Ann"), result["prompt_ids"])
        self.assertEqual(result["ids"], self.json(*self.words("--temperature", 0, "--seed", 5))["ids"])
        self.assertEqual(result["text"] + "\n", self.ok(*self.words()))

    def test_it_ends_with_the_end_token(self):
        trained = self.json("generate", "--model", self.model, "--adapter", self.adapter, "--prompt", "Ann", "--max-tokens", 60)
        self.assertLess(len(trained["ids"]), 60)
        self.assertEqual(256, trained["ids"][-1])
        self.assertEqual(bytes(trained["ids"][:-1]).decode(errors="replace"), trained["text"])

    def test_sampling_follows_the_seed(self):
        hot = ["--temperature", 5]
        a, b, c = (self.json(*self.words(*hot, "--seed", s))["ids"] for s in (1, 1, 2))
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)
        self.assertEqual(self.json(*self.words())["ids"], self.json(*self.words(*hot, "--top-p", 1e-9))["ids"])

    def test_broken_characters_stream_as_they_are_in_the_whole(self):
        for seed in range(5):
            words = self.words("--temperature", 20, "--seed", seed)
            result = self.json(*words)
            whole = bytes(i for i in result["ids"] if i < 256).decode(errors="replace")
            if max(result["ids"]) <= 256: self.assertEqual(whole, result["text"])
            # Output is read as text, where each carriage return has become a new line.
            lines = (result["text"] + "\n").replace("\r\n", "\n").replace("\r", "\n")
            self.assertEqual(lines, self.ok(*words))

    def test_the_last_position_ends_it(self):
        result = self.json("generate", "--model", self.model, "--prompt", "a" * 90, "--max-tokens", 1000, "--temperature", 20)
        self.assertLessEqual(len(result["ids"]), 6)
        self.fails(3, "generate", "--model", self.model, "--prompt", "a" * 96, says=("prompt", "96"))

    def test_an_empty_prompt_is_the_beginning_token(self):
        self.fails(2, "generate", "--model", self.model, "--prompt", "", says="--prompt")
        self.fails(2, "generate", "--model", self.model, "--prompt=", says="--prompt")
        model = self.copy_model()
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "bos_token_id": 256}))
        self.assertEqual([256], self.json("generate", "--model", model, "--prompt", "", "--max-tokens", 2)["prompt_ids"])

    def test_prompts_are_taken_as_they_are(self):
        for prompt in ("{}", "[a,b]", "%%", "--json", "a=b", "-1"):
            with self.subTest(prompt):
                self.assertEqual(list(prompt.encode()), self.json("generate", "--model", self.model, "--prompt", prompt, "--max-tokens", 1)["prompt_ids"])

    def test_flags_out_of_range(self):
        for flag, value in (("temperature", -1), ("temperature", "nan"), ("top-p", 0), ("top-p", 1.5), ("max-tokens", 0)):
            with self.subTest(flag=flag, value=value): self.fails(2, "generate", "--model", self.model, "--prompt", "a", f"--{flag}", value, says=flag)


class GenerateRows(CliTest):
    """--data: many rows, several at a time."""
    def rows(self, *rows):
        path = self.folder / "prompts.jsonl"
        write_rows(path, rows)
        return path

    def lines(self, data, *more):
        return [json.loads(line) for line in self.ok("generate", "--model", self.model, "--data", data, *more).splitlines()]

    PROMPTS = ["Ann", "B", "The cat and the dog", "a", "Ann goes", "Zo", "x" * 50, "Ann", "Tom", "Bob is", "q"]

    def test_a_line_for_each_row_in_order_as_each_alone(self):
        data = self.rows(*({"prompt": p} for p in self.PROMPTS))
        for more in ((), ("--batch-size", 3), ("--batch-size", 1), ("--json",)):
            got = self.lines(data, "--max-tokens", 20, *more)
            self.assertEqual(list(range(len(self.PROMPTS))), [line["row"] for line in got])
            self.assertEqual(["row", "text", "ids", "prompt_ids"], list(got[0]))
            for prompt, line in zip(self.PROMPTS, got):
                self.assertEqual(list(prompt.encode()), line["prompt_ids"])
                alone = self.json("generate", "--model", self.model, "--prompt", prompt, "--max-tokens", 20)
                self.assertEqual((alone["text"], alone["ids"]), (line["text"], line["ids"]))

    def test_draws_go_by_seed_and_row(self):
        data = self.rows(*({"prompt": "Ann"} for _ in range(5)))
        words = ("--max-tokens", 12, "--temperature", 5, "--seed", 3)
        got = self.lines(data, *words)
        self.assertEqual(got, self.lines(data, *words, "--batch-size", 2))
        self.assertEqual(5, len({tuple(line["ids"]) for line in got}))
        alone = self.json("generate", "--model", self.model, "--prompt", "Ann", *words)
        self.assertEqual(alone["ids"], got[0]["ids"])

    def test_rows_have_the_adapters_that_they_choose(self):
        half = f"half={self.adapter}:0.5"
        data = self.rows({"prompt": "Ann", "adapter": "a"}, {"prompt": "Ann"}, {"prompt": "Ann", "adapter": None},
                         {"prompt": "Ann", "adapter": "half"}, {"prompt": "Bob", "adapter": "a"})
        got = self.lines(data, "--adapter", f"a={self.adapter}", "--adapter", half, "--max-tokens", 30)
        def alone(prompt, *more): return self.json("generate", "--model", self.model, "--prompt", prompt, "--max-tokens", 30, *more)["ids"]
        with_a = alone("Ann", "--adapter", self.adapter)
        self.assertNotEqual(with_a, alone("Ann"))
        self.assertEqual([with_a, alone("Ann"), alone("Ann"), alone("Ann", "--adapter", f"{self.adapter}:0.5"), alone("Bob", "--adapter", self.adapter)],
                         [line["ids"] for line in got])

    def test_bad_rows_are_named_before_anything_is_computed(self):
        good = {"prompt": "Ann"}
        for bad, says in (({"prompt": "a" * 96}, ("prompt: expected fewer tokens than the model's 96 positions, found 96",)),
                          ({"prompt": ""}, ("prompt: expected a text, as the model has no bos_token_id",)),
                          ({"prompt": 5}, ("prompt: expected",)), ({"text": "Ann"}, ("prompt",)),
                          ({"prompt": "Ann", "adapter": "b"}, ("adapter: expected null or the name of an adapter (a)", '"b"')),
                          ({"prompt": "Ann", "adapter": 1}, ("adapter: expected",))):
            with self.subTest(bad):
                data = self.rows(good, good, bad)
                self.fails(3, "generate", "--model", self.model, "--data", data, "--adapter", f"a={self.adapter}", says=(f"{data}:3: ", *says))
        done = run("generate", "--model", self.model, "--data", self.rows(good, {"prompt": ""}))
        self.assertEqual("", done.stdout)
        self.fails(3, "generate", "--model", self.model, "--data", self.rows(), says="at least one row")
        self.fails(3, "generate", "--model", self.model, "--data", self.rows({"prompt": "a", "adapter": "a"}), says="null, as no adapter has a name")

    def test_flags_that_do_not_go_together(self):
        data = self.rows({"prompt": "Ann"})
        for words, says in ((("--data", data, "--prompt", "a"), "found both"), ((), "found none"), (("--prompt", "a", "--batch-size", 2), "--batch-size"),
                            (("--data", data, "--batch-size", 0), "--batch-size")):
            with self.subTest(words): self.fails(2, "generate", "--model", self.model, *words, says=says)
        self.fails(4, "generate", "--model", self.model, "--data", self.folder / "none.jsonl", says="none.jsonl")

    def test_an_interrupted_run_prints_the_rows_that_are_done(self):
        data = self.rows(*({"prompt": "Ann goes", "adapter": None} for _ in range(20000)))
        words = ["generate", "--model", self.model, "--data", data, "--max-tokens", 60, "--temperature", 1]
        process = subprocess.Popen([BINARY, *on_processor(list(map(str, words)))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
        self.assertEqual(130, process.returncode)
        rows = [first["row"]] + [json.loads(line)["row"] for line in out.splitlines()]
        self.assertEqual(rows, sorted(set(rows)))
        self.assertLess(len(rows), 20000)


class Tokenize(CliTest):
    def lines(self, text, *more):
        return [json.loads(line) for line in self.ok("tokenize", "--model", self.model, *more, stdin=text).splitlines()]

    def test_a_line_for_each_line(self):
        texts = ["Ann", "", "Zoë \U0001f600", "tab\tand\nline", "x<|endoftext|>y"]
        got = self.lines("".join(json.dumps(t) + "\n" for t in texts))
        self.assertEqual([list(t.encode()) for t in texts[:4]] + [[120, 256, 121]], [g["ids"] for g in got])
        self.assertEqual(texts[:4] + ["xy"], [g["decoded"] for g in got])
        self.assertEqual(["ids", "decoded"], list(got[0]))

    def test_bad_lines_are_named(self):
        for text in ("\"a\"\n5\n", "\"a\"\nb\n", "\"a\"\n\n"): self.fails(3, "tokenize", "--model", self.model, stdin=text, says="stdin:2")

    def test_a_model_without_a_tokenizer(self):
        self.fails(4, "tokenize", "--model", self.data, says="tokenizer.json")
