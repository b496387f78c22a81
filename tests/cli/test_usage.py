from support import CliTest, run

COMMANDS = ["train", "check", "eval", "generate", "tokenize", "merge", "inspect", "pretrain"]


class Usage(CliTest):
    def test_help_lists_the_subcommands(self):
        text = self.ok("--help")
        for command in COMMANDS: self.assertIn(f"\n  {command} ", text)

    def test_every_subcommand_has_help_and_json(self):
        for command in COMMANDS:
            with self.subTest(command):
                text = self.ok(command, "--help")
                self.assertTrue(text.startswith(f"loragrad {command}"))
                self.assertIn("--json", text)

    def test_help_shows_the_defaults(self):
        text = self.ok("train", "--help")
        for part in ("--rank N", "(default: 16)", "(default: 2 x rank)", "(default: 0.05)", "(default: 0.0002)", "(default: linear)", "(default: 512)"):
            self.assertIn(part, text)

    def test_no_subcommand_and_an_unknown_one(self):
        self.fails(2, says="subcommand")
        self.fails(2, "trian", says="did you mean train?")

    def test_unknown_flags_name_the_nearest(self):
        required = ["--model", self.model, "--data", self.data, "--output", self.folder / "o"]
        self.fails(2, "train", *required, "--epoch", 3, says=("--epoch", "did you mean --epochs?"))
        self.fails(2, "train", *required, "--rnak=3", says="did you mean --rank?")

    def test_values_of_the_wrong_type_or_out_of_range(self):
        required = ["--model", self.model, "--data", self.data, "--output", self.folder / "o"]
        for flag, value in (("rank", "8.5"), ("rank", "0"), ("rank", "eight"), ("rank", ""), ("lr", "nan"), ("lr", "-1"), ("lr", "inf"), ("dropout", "1"),
                            ("dropout", "x"), ("beta1", "1"), ("eps", "0"), ("batch-size", "0"), ("steps", "0"), ("seed", "-1"),
                            ("schedule", "step"), ("init", "eva"), ("precision", "f16"), ("seq-len", "0"), ("clip", "-1"), ("threads", "-2"), ("alpha", "nan")):
            with self.subTest(flag=flag, value=value): self.fails(2, "train", *required, f"--{flag}", value, says=(flag, "expected", value))

    def test_a_flag_twice_without_value_or_missing(self):
        self.fails(2, "train", "--data", "d", "--output", "o", says=("--model", "required"))
        self.fails(2, "train", "--model", "a", "--model", "b", "--data", "d", "--output", "o", says=("--model", "given 2 times"))
        self.fails(2, "train", "--model", says="--model")
        self.fails(2, "inspect", says="PATH")
        self.fails(2, "inspect", "a", "b", says='"b"')
        self.fails(2, "inspect", "a", "--json=yes", says="json")

    def test_control_characters_are_escaped_in_errors(self):
        done = run("inspect", "no\nsuch\x1b[31mfile")
        self.assertEqual(4, done.returncode)
        self.assertEqual(1, len(done.stderr.splitlines()))
        self.assertIn("no\\nsuch\\u001b[31mfile", done.stderr)

    def test_a_full_disk_on_stdout(self):
        import os, subprocess
        from support import BINARY
        if not os.path.exists("/dev/full"): self.skipTest("no /dev/full")
        with open("/dev/full", "w") as full:
            done = subprocess.run([BINARY, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(4, done.returncode)
        self.assertIn("error: standard output", done.stderr)
