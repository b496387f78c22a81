"""What is written lies apart from what is read, and only outputs of an earlier run are replaced."""
import json, os, shutil, subprocess

from support import BINARY, CliTest, on_processor, write_rows


def bytes_of(folder): return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Outputs(CliTest):
    def setUp(self):
        super().setUp()
        # Inputs of this test's own, so that what goes wrong hurts nobody else.
        for name, source in (("m", self.model), ("a", self.adapter), ("d", self.data)): shutil.copytree(source, self.folder / name)
        # With an end token: pretrain warns of none.
        config = {**json.loads((self.samples / "config.json").read_text()), "eos_token_id": 0}
        (self.folder / "config.json").write_text(json.dumps(config))
        (self.folder / "tokenizer.json").write_bytes((self.model / "tokenizer.json").read_bytes())
        (self.folder / "thesis.tex").write_text("years of work")

    def words(self, command, *more, cut=()):
        """`command` with its inputs and one step, as a user in this folder says it."""
        words = {"train": ["--model", "m", "--data", "d", "--eval-data", "d", "--init-adapter", "a", "--steps", 1, "--output", "out"],
                 "check": ["--model", "m", "--data", "d", "--eval-data", "d", "--init-adapter", "a", "--steps", 1, "--output", "out"],
                 "pretrain": ["--config-json", "config.json", "--tokenizer", "tokenizer.json", "--data", "d", "--eval-data", "d", "--steps", 1, "--output", "out"],
                 "merge": ["--model", "m", "--adapter", "a", "--output", "out"],
                 "eval": ["--model", "m", "--adapter", "a", "--data", "d"]}[command]
        for flag in cut:
            at = words.index(flag)
            words = words[:at] + words[at + 2:]
        return list(map(str, [command, *words, *more]))

    def here(self, words): return subprocess.run([BINARY, *on_processor(words)], cwd=self.folder, capture_output=True, text=True, timeout=120)

    def refused(self, words, code=2, says=()):
        """One line of error, behind warnings, and not a byte differs."""
        before = bytes_of(self.folder)
        done = self.here(words)
        self.assertEqual(code, done.returncode, (words, done.stdout, done.stderr))
        line = "".join(line for line in done.stderr.splitlines(keepends=True) if not line.startswith("warning: "))
        self.assertEqual(1, len(line.splitlines()), done.stderr)
        self.assertTrue(line.startswith("error: "), done.stderr)
        for text in says if isinstance(says, tuple) else (says,): self.assertIn(text, line)
        self.assertEqual(before, bytes_of(self.folder), words)
        return line

    def allowed(self, words):
        done = self.here(words)
        self.assertEqual(0, done.returncode, (words, done.stderr))
        return done

    def test_metrics_are_never_put_over_an_input(self):
        os.symlink("m/tokenizer.json", self.folder / "link")
        os.link(self.folder / "d" / "train.jsonl", self.folder / "hard")
        os.symlink("d", self.folder / "folder")
        os.symlink("m/added_tokens.json", self.folder / "dangling")
        for command, files in (("train", ["m/tokenizer.json", "m/config.json", "m/model.safetensors", "d/train.jsonl", "d/valid.jsonl", "d/test.jsonl", "a/adapter_config.json",
                                          "link", "hard", "folder/train.jsonl", "m/../m/config.json", "d", "m/added_tokens.json", "dangling"]),
                               ("pretrain", ["config.json", "tokenizer.json", "d/train.jsonl", "hard"])):
            for file in files:
                for overwrite in ([], ["--overwrite"]):
                    with self.subTest(command=command, file=file, overwrite=overwrite):
                        self.refused(self.words(command, "--metrics", file, *overwrite), says=("--metrics: expected ", file))

    def test_metrics_replace_metrics_only(self):
        for overwrite in ([], ["--overwrite"]):
            error = self.refused(self.words("train", "--metrics", "thesis.tex", *overwrite), code=4, says=("thesis.tex", "an earlier run's metrics"))
            self.assertNotIn("--overwrite", error)
        # Rows that begin as ours do are data all the same.
        write_rows(self.folder / "steps.jsonl", [{"step": 1, "text": "Ann saw the cat."}, {"step": 2, "text": "Kim lost the hat."}])
        self.refused(self.words("train", "--metrics", "steps.jsonl", "--overwrite"), code=4)
        (self.folder / "one").write_text('{"step": 1, "text": "a single row without its end"}')
        self.refused(self.words("train", "--metrics", "one", "--overwrite"), code=4)
        self.refused(self.words("train", "--metrics", "no/such/folder/m.jsonl"), code=4)
        self.allowed(self.words("train", "--metrics", "m.jsonl", "--steps", 3, cut=["--steps"]))
        (self.folder / "mixed").write_text((self.folder / "m.jsonl").read_text() + "my notes\n")
        self.refused(self.words("train", "--metrics", "mixed", "--overwrite"), code=4)
        self.allowed(self.words("train", "--metrics", "m.jsonl", "--overwrite"))
        self.assertEqual(1, len((self.folder / "m.jsonl").read_text().splitlines()))
        (self.folder / "empty").touch()
        self.allowed(self.words("train", "--metrics", "empty", "--overwrite"))
        self.allowed(self.words("train", "--metrics", "/dev/null", "--overwrite"))

    def test_metrics_are_not_the_log(self):
        with open(self.folder / "log", "w") as log:
            done = subprocess.run([BINARY, *on_processor(self.words("train", "--metrics", "log"))], cwd=self.folder, stdout=log, stderr=subprocess.PIPE, text=True)
        self.assertEqual(2, done.returncode, done.stderr)
        self.assertIn("--metrics: expected a file of its own, found log", done.stderr)

    def test_metrics_within_the_output(self):
        self.allowed(self.words("train", "--metrics", "out/metrics.jsonl"))
        self.assertEqual(1, len((self.folder / "out" / "metrics.jsonl").read_text().splitlines()))
        self.allowed(self.words("train", "--metrics", "./out//metrics.jsonl", "--overwrite"))
        self.assertTrue((self.folder / "out" / "metrics.jsonl").exists())
        for file in ("out/other.jsonl", "out", "out/sub/m.jsonl", ".out.lock", ".out.tmp-77"):
            with self.subTest(file): self.refused(self.words("train", "--metrics", file, "--overwrite"), says=("--metrics", ": expected a"))

    def test_no_output_folder_is_an_input_or_holds_one(self):
        (self.folder / "in").mkdir()
        os.symlink("../m", self.folder / "in" / "link")
        os.symlink("m", self.folder / "link")
        for command, outputs in (("train", ["m", "a", "d", "link", "m/", "m/.", "in/../m", "in"]), ("check", ["m", "a"]), ("merge", ["m", "a", "link"]),
                                 ("pretrain", ["d", "config.json", "tokenizer.json"])):
            for output in outputs:
                with self.subTest(command=command, output=output):
                    more = ["--model", "in/link"] if output == "in" else []
                    cut = ["--output", "--model"] if output == "in" else ["--output"]
                    overwrite = [] if command == "check" else ["--overwrite"]
                    self.refused(self.words(command, *more, "--output", output, *overwrite, cut=cut), says="--output: expected ")

    def test_inputs_within_an_earlier_output(self):
        self.allowed(self.words("train"))
        for cut, more in ((["--init-adapter"], ["--init-adapter", "out"]), (["--data"], ["--data", "out/metrics.jsonl"])):
            with self.subTest(more): self.refused(self.words("train", *more, "--overwrite", cut=cut), says="--output: expected ")
        self.refused(self.words("pretrain", "--config-json", "out/adapter_config.json", "--overwrite", cut=["--config-json"]), says="--output: expected ")
        # A hard link of what is read.
        os.link(self.folder / "config.json", self.folder / "out" / "config.json")
        self.refused(self.words("pretrain", "--overwrite"), says="--output: expected ")
        # What a killed run left is cleared by the next.
        os.rename(self.folder / "m", self.folder / ".new.tmp-77")
        self.refused(self.words("train", "--model", ".new.tmp-77", "--output", "new", cut=["--model", "--output"]), says="--output: expected another name")

    def test_an_output_may_lie_in_an_input_folder_but_not_become_part_of_it(self):
        for file in ("d/out", "m/lora"):
            for overwrite in ([], ["--overwrite"]): self.allowed(self.words("train", "--output", file, *overwrite, cut=["--output"]))
        for _ in range(2): self.allowed(self.words("train", "--metrics", "d/log.jsonl", "--overwrite"))
        self.refused(self.words("train", "--output", "m/added_tokens.json", cut=["--output"]), says="which would become part of --model m")
        os.remove(self.folder / "d" / "test.jsonl")
        self.refused(self.words("train", "--metrics", "d/test.jsonl"), says="which would become part of --data d")

    def test_logits(self):
        os.symlink("m/model.safetensors", self.folder / "link")
        for file in ("m/model.safetensors", "link", "a/adapter_model.safetensors", "d/valid.jsonl", "m", "m/model-00001.safetensors"):
            with self.subTest(file): self.refused(self.words("eval", "--logits", file), says="--logits: expected ")
        self.refused(self.words("eval", "--logits", "thesis.tex"), code=4, says="thesis.tex")
        shutil.copy(self.folder / "m" / "model.safetensors", self.folder / "w.safetensors")
        self.refused(self.words("eval", "--logits", "w.safetensors"), code=4, says="w.safetensors")
        for _ in range(2): self.allowed(self.words("eval", "--logits", "l.safetensors"))
        self.assertFalse(any(p.name.startswith(".") for p in self.folder.iterdir()))

    def test_an_earlier_output_is_known_by_its_content(self):
        for command, inputs in (("train", []), ("pretrain", []), ("merge", [])):
            with self.subTest(command):
                self.allowed(self.words(command, "--output", command, cut=["--output"]))
                self.refused(self.words(command, "--output", command, cut=["--output"]), code=4, says=("found an earlier output", "--overwrite"))
                self.allowed(self.words(command, "--output", command, "--overwrite", cut=["--output"]))
        # A downloaded model has the same names and is nobody's to replace.
        other = self.folder / "other"
        shutil.copytree(self.folder / "m", other)
        (other / "metrics.jsonl").unlink()
        (other / "README.md").write_text("---\nlicense: mit\n---\n\n# A model\n\n- loragrad\n")
        for command in ("train", "merge"):
            for overwrite in ([], ["--overwrite"]):
                error = self.refused(self.words(command, "--output", "other", *overwrite, cut=["--output"]), code=4, says="neither a model card nor metrics of loragrad")
                self.assertNotIn("--overwrite", error)
        (self.folder / "train" / "thesis.tex").write_text("more work")
        error = self.refused(self.words("train", "--output", "train", cut=["--output"]), code=4, says="found thesis.tex in it")
        self.assertNotIn("--overwrite", error)
        self.refused(self.words("train", "--output", "train", "--overwrite", cut=["--output"]), code=4, says="found thesis.tex in it")
        (self.folder / "merge" / "config.json").unlink()
        (self.folder / "merge" / "config.json").mkdir()
        self.refused(self.words("merge", "--output", "merge", "--overwrite", cut=["--output"]), code=4, says="config.json in it")
        self.refused(self.words("train", "--output", "thesis.tex", "--overwrite", cut=["--output"]), code=4, says="expected a folder, found a file")

    def test_paths_that_are_no_name(self):
        for command in ("train", "check", "merge", "pretrain"):
            for output in ("", ".", "..", "/", "./", "../", "d/..", "//"):
                with self.subTest(command=command, output=output): self.refused(self.words(command, "--output", output, cut=["--output"]), says="--output: expected ")
        for flag in ("model", "data", "eval-data", "init-adapter", "metrics"):
            with self.subTest(flag): self.refused(self.words("train", f"--{flag}=", cut=[f"--{flag}"] if flag != "metrics" else []), says=(f"--{flag}: expected a path", 'found ""'))
        for words in (self.words("eval", "--logits", ""), self.words("eval", "--adapter", "", cut=["--adapter"]), ["tokenize", "--model", ""], ["generate", "--model", "", "--prompt", "a"],
                      self.words("pretrain", "--tokenizer", "", cut=["--tokenizer"])):
            with self.subTest(words): self.refused(words, says="expected a path")
        self.refused(self.words("train", "--metrics", "d/"))
        self.refused(self.words("train", "--metrics", "new/"), code=4)
        self.refused(self.words("eval", "--logits", "new/"), code=4)
        self.refused(self.words("train", "--output", "n" * 256, cut=["--output"]), code=4, says="File name too long")
        for number, output in enumerate(("x/", "y/.", "d/../z")):
            self.allowed(self.words("train", "--output", output, cut=["--output"]))
            self.assertTrue((self.folder / "xyz"[number] / "adapter_config.json").exists())

    def test_a_mount_is_not_replaced(self):
        if os.geteuid() != 0: self.skipTest("SKIPPED: mounting needs root")
        place = self.folder / "volume"
        place.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True).returncode != 0: self.skipTest("SKIPPED: no mount here")
        self.addCleanup(subprocess.run, ["umount", place])
        self.refused(self.words("merge", "--output", "volume", cut=["--output"]), code=4, says="mounted")
        for command in ("train", "merge"): self.allowed(self.words(command, "--output", f"volume/{command}", cut=["--output"]))
        shutil.rmtree(place / "train")
        shutil.rmtree(place / "merge")
        # A run's folder stands where it is from the beginning.
        self.allowed(self.words("train", "--output", "volume", cut=["--output"]))
        # The same files by another mount.
        other = self.folder / "again"
        other.mkdir()
        self.assertEqual(0, subprocess.run(["mount", "--bind", self.folder / "m", other]).returncode)
        self.addCleanup(subprocess.run, ["umount", other])
        self.refused(self.words("train", "--metrics", "again/config.json", "--overwrite"), says="--metrics: expected ")
        self.refused(self.words("train", "--output", "again", "--overwrite", cut=["--output"]), says="--output: expected ")

    def test_litter_of_dead_runs_is_cleared(self):
        def litter(name):
            (self.folder / name).mkdir()
            (self.folder / name / "half").touch()
        for name in (".out.tmp-77", ".out.tmp-78.1", ".out.old-79", ".out.tmp-", ".out.tmp-x", ".out2.tmp-77"): litter(name)
        (self.folder / ".out.lock").write_text("77")
        self.allowed(self.words("train"))
        # Nothing stood in the place of what had been moved aside.
        self.assertEqual([".out.old-79", ".out.tmp-", ".out.tmp-x", ".out2.tmp-77"], sorted(p.name for p in self.folder.iterdir() if p.name.startswith(".")))
        litter(".out.tmp-80")
        self.allowed(self.words("merge", "--overwrite"))
        self.assertEqual([".out.tmp-", ".out.tmp-x", ".out2.tmp-77"], sorted(p.name for p in self.folder.iterdir() if p.name.startswith(".")))
        (self.folder / ".l.tmp-77").touch()
        self.allowed(self.words("eval", "--logits", "l"))
        self.assertFalse((self.folder / ".l.tmp-77").exists())

    def test_a_file_named_like_the_lock(self):
        (self.folder / ".out.lock").write_text("a page of somebody's diary")
        self.refused(self.words("train"), code=4, says=".out.lock")
