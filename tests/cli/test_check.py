import json, os, pty, subprocess

from support import BINARY, CliTest, on_processor, run, write_rows


class Check(CliTest):
    def words(self, command="check", **flags):
        words = [command]
        for name, value in {"model": self.model, "data": self.data, "rank": 4, **flags}.items():
            words.append("--" + name.replace("_", "-"))
            if value is not True: words.append(value)
        return words

    def test_json_counts_what_train_counts(self):
        flags = {"target": "q_proj,up_proj", "seq_len": 12, "batch_size": 4, "epochs": 2}
        facts = self.json(*self.words(**flags))
        self.assertEqual((18, 18 * 12, 18 * 11, 18, 12, 9, {"q_proj": 2, "up_proj": 2}, 2 * 4 * (64 + 32 + 48)), tuple(facts[k] for k in (
            "rows", "tokens", "supervised_tokens", "cut_rows", "longest_row", "steps", "modules", "trainable_parameters")))
        done = run(*self.words("train", output=self.folder / "out", json=True, **flags))
        result = json.loads(done.stdout)
        for key in ("steps", "trainable_parameters", "all_parameters"): self.assertEqual(result[key], facts[key])
        self.assertIn(f"trainable params: {facts['trainable_parameters']:,} || all params: {facts['all_parameters']:,} ||", done.stderr)

    def test_predicted_memory_is_the_sum_of_its_parts_and_near_what_train_takes(self):
        facts = self.json(*self.words(steps=3))
        self.assertEqual(["weights", "trained", "optimiser", "activations", "process"], list(facts["predicted"]))
        self.assertEqual(facts["predicted_peak_bytes"], sum(facts["predicted"].values()))
        peak = self.json(*self.words("train", output=self.folder / "out", steps=3))["peak_bytes"]
        self.assertLess(abs(facts["predicted_peak_bytes"] - peak), 0.3 * peak)

    def test_what_keeps_within_a_limit_stands_with_the_peak(self):
        flags = {"batch_size": 800, "steps": 1, "data": write_rows(self.folder / "many.jsonl", [{"text": "a" * 60}] * 800)}
        limit = self.json(*self.words(**flags))["predicted_peak_bytes"] * 3 // 4
        labels = [(line.split() or [""])[0] for line in self.ok(*self.words(**flags, max_memory=limit)).splitlines()]
        self.assertEqual(["process", "within", "available"], labels[labels.index("available") - 2:labels.index("available") + 1])

    def test_the_sample_is_the_row_cut_where_its_mask_changes(self):
        rows = write_rows(self.folder / "pc.jsonl", [{"prompt": "Ann saw", "completion": " a cät"}])
        sample = self.json(*self.words(data=rows))["sample"]
        self.assertEqual(1, sample["row"])
        prompt, completion = sample["spans"]
        self.assertEqual((False, "Ann saw", 7), (prompt["supervised"], prompt["text"], len(prompt["ids"])))
        self.assertTrue(completion["supervised"])
        self.assertTrue(completion["text"].startswith(" a cät"))
        self.assertEqual((7 + 1, 256), (len(completion["ids"]), completion["ids"][-1]))  # ä is two bytes; the end token
        self.assertEqual(1, self.json(*self.words(data=rows, no_eos=True))["rows"])
        self.assertEqual(7, len(self.json(*self.words(data=rows, no_eos=True))["sample"]["spans"][1]["ids"]))

    def test_a_first_token_has_no_loss_whatever_its_label(self):
        rows = write_rows(self.folder / "ids.jsonl", [{"input_ids": [1, 2], "labels": [1, -100]}, {"input_ids": [5, 6, 7, 8], "labels": [5, -100, 7, 8]}])
        sample = self.json(*self.words(data=rows))["sample"]
        self.assertEqual((2, [[5, 6], [7, 8]], [False, True]), (sample["row"], [s["ids"] for s in sample["spans"]], [s["supervised"] for s in sample["spans"]]))

    def test_what_a_person_reads(self):
        rows = write_rows(self.folder / "pc.jsonl", [{"prompt": "Where is Zoë?\n", "completion": "At the \x1b[31m lake. " + "It is so. " * 6}])
        text = self.ok(*self.words(data=rows, steps=6, batch_size=2, grad_accum=3))
        for part in ("trainable params: 896 || all params: ", "\nmodules        4 (q_proj 2, v_proj 2)\n", "\nrows           1 (prompt/completion), longest 95 tokens, none cut\ntokens         95, supervised 80 (84.2%)\n",
                     "\nsteps          6 of 2 x 3 rows: 36.0 times over the data\n", "MiB predicted\n  weights ", "\n  no loss    15 | Where is Zoë?↵\n",
                     "\n  loss       80 | At the \\u001b[31m lake. It is so. "):
            self.assertIn(part, text)
        self.assertNotIn("\x1b", text)
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()[1:]), text)
        self.assertIn("\nmodules        all parameters (--full)\n", self.ok("check", "--model", self.model, "--data", self.data, "--full"))
        self.assertIn("longest 12 tokens, 18 cut\n", self.ok(*self.words(seq_len=12)))
        self.assertIn("\neval rows      4 (text), longest ", self.ok(*self.words(eval_data=self.data)))

    def test_long_rows_and_many_runs_are_cut(self):
        ids, labels = list(range(96)), [i if i % 2 else -100 for i in range(96)]
        text = self.ok(*self.words(data=write_rows(self.folder / "many.jsonl", [{"input_ids": ids, "labels": labels}])))
        self.assertIn("... and 84 more such runs of tokens", text)
        text = self.ok(*self.words(data=write_rows(self.folder / "long.jsonl", [{"text": "word " * 1000}]), seq_len=96))
        self.assertNotIn("lines ...", text)
        text = self.ok(*self.words(data=write_rows(self.folder / "lines.jsonl", [{"text": "w\n" * 30}])))
        self.assertIn("| ... 26 lines ...\n", text)

    def test_colour_only_on_a_terminal(self):
        def on_a_terminal(**env):
            main, other = pty.openpty()
            done = subprocess.run([BINARY, *on_processor(self.words())], stdout=other, stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm", **env}, timeout=120)
            os.close(other)
            out = b""
            while True:
                try: part = os.read(main, 65536)
                except OSError: break
                if not part: break
                out += part
            os.close(main)
            self.assertEqual(0, done.returncode, done.stderr)
            return out.decode()
        self.assertIn("\x1b[32m", on_a_terminal(NO_COLOR=""))
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}): self.assertNotIn("\x1b", on_a_terminal(**env))

    def test_without_a_tokenizer_ids_are_shown(self):
        model = self.copy_model()
        for name in ("tokenizer.json", "tokenizer_config.json"): (model / name).unlink()
        rows = write_rows(self.folder / "ids.jsonl", [{"input_ids": [5, 6, 7], "labels": [-100, -100, 7]}])
        self.assertIn("  no loss     2 | 5 6\n  loss        1 | 7\n", self.ok(*self.words(model=model, data=rows)))
        self.assertEqual([None, None], [s["text"] for s in self.json(*self.words(model=model, data=rows))["sample"]["spans"]])

    def test_labels_that_ask_for_other_tokens_are_counted_aloud(self):
        rows = write_rows(self.folder / "ids.jsonl", [{"input_ids": [5, 6, 7], "labels": [9, 6, 8]}])
        self.assertIn("1 labels ask for other tokens", run(*self.words(data=rows)).stderr)

    def test_errors_are_those_of_train(self):
        unsupervised = write_rows(self.folder / "u.jsonl", [{"input_ids": [5, 6], "labels": [5, -100]}])
        unknown = write_rows(self.folder / "v.jsonl", [{"input_ids": [5, 999]}])
        (self.folder / "there").mkdir()
        (self.folder / "there" / "thesis.tex").write_text("text")
        for code, flags in ((3, {"data": unsupervised}), (3, {"data": unknown}), (3, {"target": "q_prj"}), (2, {"target": "regex:[a"}), (4, {"data": self.folder / "missing.jsonl"}),
                            (4, {"model": self.folder}), (2, {"rank": "x"}), (2, {"eval_every": 3}), (2, {"full": True}), (4, {"output": self.folder / "there"}), (2, {"output": self.model}),
                            (4, {"init_adapter": self.data, "rank": 4})):
            with self.subTest(flags):
                error = self.fails(code, *self.words(**flags))
                self.assertEqual(self.fails(code, *self.words("train", **{"output": self.folder / "o", **flags})), error)
        self.fails(2, *self.words(), "--epoch", 3, says="did you mean --epochs?")

    def test_the_words_of_train_are_taken_and_nothing_is_written(self):
        self.ok(*self.words(output=self.folder / "out", metrics=self.folder / "m.jsonl", init_adapter=self.adapter))
        self.assertEqual([], list(self.folder.iterdir()))

    def test_no_weight_is_touched(self):
        model = self.copy_model()
        size = (model / "model.safetensors").stat().st_size
        with open(model / "model.safetensors", "r+b") as file:  # the header stays, the numbers become NaN
            length = 8 + int.from_bytes(file.read(8), "little")
            file.seek(length)
            file.write(b"\xff" * (size - length))
        done = run(*self.words(model=model))
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertIn("NaN", run(*self.words("train", model=model, output=self.folder / "out")).stderr)

    def test_the_memory_profile_adds_up(self):
        profile = (facts := self.json(*self.words(profile="memory")))["profile"]
        self.assertEqual(facts["predicted_peak_bytes"], sum(profile["peak"].values()))
        self.assertEqual(profile["kept_bytes"], profile["other"] + sum(op["bytes"] for op in profile["kept_for_backward"]))
        nodes = {op["op"]: op["nodes"] for op in profile["kept_for_backward"]}
        self.assertEqual((2, 2, 4), (nodes["attention"], nodes["gated"], nodes["lora_linear"]))
        # q, k, v, output and a number a head: in f32, of 2 layers of width 32 with 4 heads and 2 key/value heads of 8.
        attention = next(op for op in profile["kept_for_backward"] if op["op"] == "attention")
        self.assertEqual(2 * profile["tokens"] * 4 * (32 + 16 + 16 + 32 + 4), attention["bytes"])
        text = self.ok(*self.words(profile="memory"))
        for part in ("\nmemory of the largest batch that can come, 4 rows of ", "\nkept for backward  nodes ", "\nattention              2  ", "\nat the peak  ", "\nThe peak is in the "):
            self.assertIn(part, text)
        self.assertIn("MiB  100.0%\nThe peak is in", self.ok("check", "--model", self.model, "--data", self.data, "--full", "--profile", "memory"))

    def test_no_step_no_time(self):
        self.fails(2, *self.words(profile="time"), says=("--profile", "memory", "time"))
        self.fails(2, *self.words(profile="space"), says=("--profile", "time, memory", "space"))


class Advice(CliTest):
    def advice(self, rows, *more, model=None):
        data = write_rows(self.folder / "rows.jsonl", rows)
        words = ["check", "--model", model or self.model, "--data", data, "--target", "all-linear", *more]
        advice = self.json(*words)["advice"]
        said = self.ok(*words)
        for line in advice: self.assertIn("\n  - " + line[:40], said)
        self.assertTrue(all(len(line) <= 80 for line in said.partition("\nadvice\n")[2].splitlines()), said)
        self.assertEqual(bool(advice), "\nadvice\n" in said)
        return "\n".join(advice)

    def test_a_good_run_has_none(self):
        self.assertEqual("", self.advice([{"text": "Ann saw the cat."}]))

    def test_ends(self):
        self.assertIn("no row has an end token with a loss (\"<|endoftext|>\" (256)): the model does not learn to end. Leave --no-eos out", self.advice([{"text": "ab"}], "--no-eos"))
        ids = {"input_ids": [1, 2, 256], "labels": [1, 2, -100]}
        self.assertIn("1 of 2 rows end with an end token that has no loss", self.advice([ids, {"input_ids": [1, 2, 256]}]))
        self.assertIn("Put it at the end of input_ids", self.advice([{"input_ids": [1, 2]}]))
        cut = self.advice([{"text": "a" * 60}, {"text": "b" * 70}], "--seq-len", 8)
        self.assertIn("2 of 2 rows lost their end to --seq-len 8: a larger one keeps it", cut)
        self.assertIn("A larger --seq-len keeps the ends of rows", cut)

    def test_rows_without_loss(self):
        self.assertIn("1 of 2 rows have no supervised token, and teach nothing: leave them out, or look at their labels", self.advice([{"input_ids": [1, 2], "labels": [1, -100]}, {"input_ids": [1, 256]}]))

    def test_padding_and_beginnings(self):
        model = self.copy_model()
        path = model / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}))
        self.assertIn('the padding is the end token, "<|endoftext|>"', self.advice([{"text": "a"}], model=model))
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "bos_token_id": 65}))
        (model / "generation_config.json").unlink(missing_ok=True)
        self.assertIn('1 of 2 rows begin with two beginnings of a text, "A" (65)', self.advice([{"text": "AA man."}, {"text": "A man."}], model=model))

    def test_rates_and_targets(self):
        rows = [{"text": "a"}]
        self.assertIn("--lr 2e-05 is ten times or more below what LoRA wants on most models, some 0.0002: try that first (rates of full", self.advice(rows, "--lr", "2e-5"))
        self.assertNotIn("--lr", self.advice(rows, "--lr", "2e-3"))  # some runs' best
        self.assertIn("--lr 0.0021 is ten times or more above what LoRA wants", self.advice(rows, "--lr", "2.1e-3"))
        self.assertEqual("", self.advice(rows, "--lr", "1e-3"))
        full = ["check", "--model", self.model, "--data", self.data, "--full"]
        self.assertIn("above what training all parameters wants on most models, some 2e-05", self.json(*full, "--lr", "2e-4")["advice"][0])
        self.assertEqual([], self.json(*full, "--lr", "1e-5")["advice"])
        few = self.json("check", "--model", self.model, "--data", self.data)["advice"]
        self.assertEqual(1, len(few))
        self.assertIn("2 of 7 kinds of linear maps are adapted (q_proj, v_proj)", few[0])
