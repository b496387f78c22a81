import json

from support import CliTest


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
