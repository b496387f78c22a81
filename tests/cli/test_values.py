"""A value is the word as it stands, whatever it begins with."""
from support import CliTest

ODD = ("[a,b]", "[]", "[", "]", "[a", "[[x]]", "['a','b']", "{x}", "{}", "a,b", "a b", "=x", "==", "--x", "--json", "--model=x", "--", "-", "-1", "-h", "--help",
       "%%", "$x", "/x", "\"q\"", "'q'", "a\\b", "#", "@file", "a\nb", "é", "true", "+1")


class Values(CliTest):
    def test_texts(self):
        words = ["generate", "--model", self.model, "--max-tokens", 1]
        for text in ODD:
            for given in (["--prompt", text], [f"--prompt={text}"]):
                with self.subTest(given): self.assertEqual(list(text.encode()), self.json(*words, *given)["prompt_ids"])

    def test_an_empty_one_is_a_value_too(self):
        for given in (["--prompt", ""], ["--prompt="]):
            self.fails(2, "generate", *given, "--model", self.model, says=("--prompt", "expected a text", 'found ""'))

    def test_lists_keep_their_order_and_their_commas(self):
        words = ["generate", "--model", self.model, "--prompt", "a", "--max-tokens", 5]
        for text in ("[a,b]", "[]", "{x}", "a,b", "=x", "--x", "-1"):
            for given in (["--adapter", text], [f"--adapter={text}"]):
                code = 2 if text == "=x" else 4  # an adapter without a name
                with self.subTest(given): self.fails(code, *words, "--adapter", self.adapter, *given, says=f"{text}")
        twice = self.json(*words, f"--adapter={self.adapter}:0.5", "--adapter", f"{self.adapter}:0.5")
        self.assertEqual(self.json(*words, "--adapter", self.adapter)["ids"], twice["ids"])

    def test_numbers_and_choices_show_the_whole_word(self):
        words = ["train", "--model", self.model, "--data", self.data, "--output", self.folder / "o"]
        for text in ("[1,2]", "[]", "1,2", "{1}", "=1", "--x"):
            for flag in ("rank", "lr", "seed", "schedule", "max-memory"):
                for given in ([f"--{flag}", text], [f"--{flag}={text}"]):
                    with self.subTest(given): self.fails(2, *words, *given, says=(f"--{flag}", f'found "{text}"'))

    def test_words_without_a_flag(self):
        for text in ("[a,b]", "[]", "{x}", "a,b", "=x", "-1", "-", ""):
            with self.subTest(text): self.fails(4, "inspect", text, says=f"{text}: expected a file or folder")
        for text in ("--x", "-x", "--json", "[a,b]"):
            with self.subTest(text): self.fails(4, "inspect", "--", text, says=f"{text}: expected a file or folder")
        self.fails(2, "inspect", "--", "[a,b]", "[c]", says='unexpected word "[c]"')

    def test_what_is_no_value(self):
        self.fails(2, "generate", "--model", self.model, "--prompt", says=("--prompt", "expected TEXT"))
        self.fails(2, "inspect", self.model, "--json=", says=("--json", "expected no value"))
        for flag in ("-x", "--=x", "-prompt", "--PATH"):
            self.fails(2, "generate", "--model", self.model, "--prompt", "a", flag, says=f"unknown flag {flag.split('=')[0]}")
        self.assertIn("loragrad generate", self.ok("generate", "--prompt", "a", "--help", "--bogus"))
