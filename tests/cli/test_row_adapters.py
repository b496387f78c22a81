"""Rows that choose an adapter by its name, and the adapters that have names."""
import json, os, shutil

from support import TEXTS, CliTest, read_safetensors, run, write_rows


def warnings(done): return [line for line in done.stderr.splitlines() if line.startswith("warning: ")]


class RowAdapters(CliTest):
    def setUp(self):
        super().setUp()
        self.other = self.folder / "other"
        self.ok("train", "--model", self.model, "--data", self.data, "--output", self.other, "--rank", 2, "--alpha", 3, "--steps", 8, "--lr", 2e-2, "--seed", 5)
        self.named = ["--adapter", f"one={self.adapter}", "--adapter", f"two-2={self.other}:-0.5"]

    def rows(self, *names, texts=TEXTS):
        """Rows that choose these adapters in turn; "" is a row without the key."""
        rows = [{"text": text, "adapter": name} for text, name in zip(texts, names)]
        return write_rows(self.folder / "rows.jsonl", [{k: v for k, v in row.items() if v != ""} for row in rows])

    def eval(self, data, *more): return ["eval", "--model", self.model, "--data", data, *more]

    def test_each_row_is_as_with_its_adapter_for_all(self):
        chosen = ["", "one", "two-2", "one", None, "two-2", "two-2", "one"]
        plain = {"one": ["--adapter", self.adapter], "two-2": ["--adapter", f"{self.other}:-0.5"]}
        found, expected = self.folder / "found.safetensors", {}
        self.ok(*self.eval(self.rows(*chosen), *self.named, "--logits", found))
        for name in (None, "one", "two-2"):
            file = self.folder / f"{name}.safetensors"
            self.ok(*self.eval(self.rows(*[None] * 8), *plain.get(name, []), "--logits", file))
            expected[name] = read_safetensors(file)
        tensors = read_safetensors(found)
        for row, name in enumerate(chosen): self.assertEqual(expected[name or None][f"row.{row}"], tensors[f"row.{row}"], row)
        self.assertNotEqual(expected[None]["row.1"], expected["one"]["row.1"])

    def test_the_loss_is_of_all_rows(self):
        # Whole batches: the rows' losses are those of their adapters, whatever stands beside them.
        losses = {}
        for name in ("one", "two-2"):
            report = self.json(*self.eval(self.rows(*[name] * 6), *self.named))
            losses[name] = report["loss"] * report["supervised_tokens"]
        mixed = self.json(*self.eval(write_rows(self.folder / "mixed.jsonl", [
            {"text": t, "adapter": n} for t in TEXTS[:6] for n in ("one", "two-2")]), *self.named))
        self.assertAlmostEqual(sum(losses.values()) / mixed["supervised_tokens"], mixed["loss"], places=5)

    def test_an_adapter_without_a_name_counts_in_all_rows(self):
        both = self.json(*self.eval(self.rows("", "", ""), "--adapter", self.adapter, "--adapter", self.other))["loss"]
        self.assertEqual(both, self.json(*self.eval(self.rows("b", "b", "b"), "--adapter", self.adapter, "--adapter", f"b={self.other}"))["loss"])
        one = self.json(*self.eval(self.rows("", "", ""), "--adapter", self.adapter))["loss"]
        done = run(*self.eval(self.rows("", None, ""), "--adapter", self.adapter, "--adapter", f"b={self.other}", "--json"))
        self.assertEqual(one, json.loads(done.stdout)["loss"])
        self.assertEqual(["warning: --adapter b: no row chooses it, and it is not used"], warnings(done))
        self.assertEqual([], warnings(run(*self.eval(self.rows("b"), "--adapter", f"b={self.other}"))))

    def test_rows_that_are_refused(self):
        for value in ("three", "", "ONE", 1, True, ["one"], {}):
            rows = write_rows(self.folder / "bad.jsonl", [{"text": "a"}, {"text": "b", "adapter": value}])
            self.fails(3, *self.eval(rows, *self.named), says=(f"{rows}:2: adapter: expected null or the name of an adapter (one, two-2), found {json.dumps(value)}",))
        self.fails(3, *self.eval(self.rows("one")), says="rows.jsonl:1: adapter: expected null, as no adapter has a name (--adapter NAME=DIR), found \"one\"")
        self.fails(3, *self.eval(self.rows("one"), "--adapter", self.adapter), says="no adapter has a name")
        self.fails(3, "train", "--model", self.model, "--data", self.data, "--eval-data", self.rows("", "one"), "--output", self.folder / "o", "--adapter", f"two={self.other}",
                   says="rows.jsonl:2: adapter: expected null or the name of an adapter (two), found \"one\"")

    def test_names_that_are_refused(self):
        data = self.rows("one")
        self.fails(2, *self.eval(data, *self.named, "--adapter", f"one={self.other}"), says='--adapter: expected each name once, found "one" twice')
        for name in ("", "a b", "ä", "a.b", "a:1"):
            self.fails(2, *self.eval(data, "--adapter", f"{name}={self.adapter}"), says=("--adapter: expected NAME=DIR with a NAME of letters, digits, _ and -",))
        self.fails(2, *self.eval(data, "--adapter", f"one={self.adapter}:x"), says=("--adapter", "finite number"))
        self.fails(2, *self.eval(data, "--adapter", "one="), says="--adapter: expected NAME=DIR")
        self.fails(4, *self.eval(data, "--adapter", f"one={self.folder}/missing"), says="missing: expected a folder, found nothing")

    def test_folders_whose_names_have_an_equals_sign(self):
        for name in ("lr=1", "a=b:0.5", "=x"):
            folder = self.folder / name
            shutil.copytree(self.adapter, folder)
            expected = self.json(*self.eval(self.rows(""), "--adapter", self.adapter))["loss"]
            for path in (folder, os.path.relpath(folder)):
                self.assertEqual(expected, self.json(*self.eval(self.rows(""), "--adapter", path))["loss"])
            self.assertEqual(expected, self.json(*self.eval(self.rows("n"), "--adapter", f"n={folder}"))["loss"])
            self.assertEqual(expected, self.json(*self.eval(self.rows("n"), "--adapter", f"n={folder}:1"))["loss"])
            command = self.eval(self.rows(""), "--json")
            done = run(*command, "--adapter", f"./{name}", cwd=self.folder)
            self.assertEqual(expected, json.loads(done.stdout)["loss"])
            done = run(*command, "--adapter", name, cwd=self.folder)
            self.assertEqual((2, True), (done.returncode, f"a folder of this name is ./{name}" in done.stderr), done.stderr)

    def test_what_has_no_rows_to_choose(self):
        done = run("generate", "--model", self.model, "--prompt", "Ann", "--adapter", f"n={self.adapter}", "--max-tokens", 3)
        self.assertEqual(["warning: --adapter n: no row chooses it, and it is not used"], warnings(done))
        self.assertEqual(self.ok("generate", "--model", self.model, "--prompt", "Ann", "--max-tokens", 3), done.stdout)
        self.fails(2, "merge", "--model", self.model, "--adapter", f"n={self.adapter}", "--output", self.folder / "merged", says=("--adapter: expected DIR or DIR:WEIGHT", '"n"'))

    def test_in_training_evaluation_takes_the_rows_adapter_alone(self):
        train = ["train", "--model", self.model, "--data", self.data, "--steps", 4, "--eval-every", 2, "--lr", 1e-2, "--overwrite", "--output", self.folder / "o"]
        chosen = self.rows("one", "one", "one")
        expected = self.json(*self.eval(chosen, *self.named))["loss"]
        report = self.json(*train, "--eval-data", chosen, *self.named)
        self.assertAlmostEqual(expected, report["eval"]["loss"], places=6)
        own = self.json(*train, "--eval-data", self.rows("", "", ""), *self.named)["eval"]["loss"]
        half = self.json(*train, "--eval-data", self.rows("", "one", ""), *self.named)["eval"]["loss"]
        self.assertEqual(3, len({own, half, expected}))
        self.assertEqual(own, self.json(*train, "--eval-data", self.rows("", "", ""))["eval"]["loss"])
        self.assertAlmostEqual(own, self.json(*self.eval(self.rows("", "", ""), "--adapter", self.folder / "o"))["loss"], places=6)
        # check says the same, and its forecast counts them.
        check = ["check", *train[1:-2], "--eval-data", chosen]
        more = self.json(*check, *self.named)["predicted"]["trained"] - self.json(*check[:-1], self.data)["predicted"]["trained"]
        self.assertGreater(more, 0)

    def test_flags_of_training_that_are_refused(self):
        train = ["train", "--model", self.model, "--data", self.data, "--output", self.folder / "o"]
        self.fails(2, *train, "--eval-data", self.data, "--adapter", self.adapter, says=("--adapter: expected NAME=DIR[:WEIGHT]", "--init-adapter"))
        self.fails(2, *train, *self.named, says="--adapter: expected --eval-data beside it")
        self.fails(2, *train, "--adapter_path", "x", says="--output")
        self.fails(2, "train", "--model", self.model, "--data", self.data, "--eval-data", self.data, "--adapter", f"a={self.adapter}", "--output", self.adapter, "--overwrite", says="adapter")

    def test_training_rows_choose_nothing(self):
        done = run("train", "--model", self.model, "--data", self.rows("one", 3), "--steps", 1, "--output", self.folder / "o")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(f"warning: {self.folder}/rows.jsonl: adapter is not read: one training is of all rows", warnings(done))
