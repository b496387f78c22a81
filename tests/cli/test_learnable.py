"""Whether anything can be learnt is asked before a run, and what cannot be told is said: rates, rows, end tokens, numbers."""
import json, math, shutil, struct

from support import SHARED, CliTest, read_safetensors, run, write_rows, write_safetensors

END = 256


class Learnable(CliTest):
    def words(self, command="train", **flags):
        words = [command]
        for name, value in {"model": self.model, "data": self.data, "rank": 4, **({"output": self.folder / "out"} if command == "train" else {}), **flags}.items():
            if value is None: continue
            words.append("--" + name.replace("_", "-"))
            if value is not True: words.append(value)
        return words

    def warnings(self, *words):
        done = run(*words)
        self.assertEqual(0, done.returncode, done.stderr)
        return [line for line in done.stderr.splitlines() if line.startswith("warning: ")]

    def with_tensor(self, name, change):
        """A copy of the model whose tensor `name`, as rows of bytes, `change` has altered in place."""
        model = self.copy_model()
        tensors = read_safetensors(model / "model.safetensors")
        dtype, shape, values = tensors[name]
        size = len(values) // shape[0]
        rows = [values[i * size:(i + 1) * size] for i in range(shape[0])]
        change(rows)
        tensors[name] = (dtype, shape, b"".join(rows))
        write_safetensors(model / "model.safetensors", tensors)
        return model


class Rates(Learnable):
    def test_a_run_whose_every_rate_is_zero_is_refused_before_it_begins(self):
        for flags in ({"steps": 1, "warmup_steps": 1}, {"steps": 1, "warmup_steps": 7, "schedule": "cosine"}, {"epochs": 1, "batch_size": 18, "warmup_steps": 1, "schedule": "constant"}):
            for command in ("train", "check"):
                with self.subTest(command, **flags):
                    self.fails(2, *self.words(command, **flags), says=("warmup-steps: expected fewer than the run's steps, 1, found", "--lr 0 asks for that"))
        self.fails(2, "pretrain", "--config-json", self.samples / "config.json", "--data", self.data, "--output", self.folder / "new", "--steps", 1, "--warmup-steps", 1, says="warmup-steps")

    def test_lr_0_runs_and_says_so(self):
        warnings = self.warnings(*self.words(steps=3, lr=0, warmup_steps=5))
        self.assertEqual(2, len(warnings), warnings)
        self.assertIn("--lr 0: no step has a learning rate, and nothing will be learnt", warnings[0])
        self.assertIn("none of the 3 steps had both a learning rate and a supervised token", warnings[1])
        b = read_safetensors(self.folder / "out" / "adapter_model.safetensors")["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"][2]
        self.assertEqual(0, max(b))
        self.assertEqual(warnings[:1], self.warnings(*self.words("check", steps=3, lr=0, warmup_steps=5)))
        self.assertEqual(2, len(self.warnings(*self.words(steps=1, lr=0, warmup_steps=1, overwrite=True))))

    def test_a_warm_up_that_never_ends(self):
        for steps, warmup, highest in ((4, 4, 1.5e-4), (4, 8, 7.5e-5), (2, 100, 2e-6)):
            with self.subTest(steps=steps, warmup=warmup):
                warnings = self.warnings(*self.words(steps=steps, warmup_steps=warmup, overwrite=True))
                self.assertEqual([f"warning: --lr 0.0002 is never reached: --warmup-steps {warmup} is no less than the run's {steps} steps; the highest is {highest:.3g}"], warnings)
                self.assertAlmostEqual(highest, max(r["lr"] for r in self.metrics(self.folder / "out")))
                self.assertEqual(warnings, self.warnings(*self.words("check", steps=steps, warmup_steps=warmup)))
                self.assertAlmostEqual(highest, self.json(*self.words("check", steps=steps, warmup_steps=warmup))["highest_lr"])
        for schedule in ("linear", "constant", "cosine"):
            self.assertEqual([], self.warnings(*self.words(steps=4, warmup_steps=3, schedule=schedule, overwrite=True)))
            self.assertAlmostEqual(2e-4, max(r["lr"] for r in self.metrics(self.folder / "out")))

    def test_a_proof_that_never_ran_is_said(self):
        # The one step with a learning rate is of rows without a label.
        rows = write_rows(self.folder / "r.jsonl", [{"input_ids": [5, 6, 7]}, {"input_ids": [5, 6, 7], "labels": [-100] * 3}])
        warnings = self.warnings(*self.words(data=rows, steps=2, batch_size=1, warmup_steps=1, no_shuffle=True))
        self.assertIn("none of the 2 steps had both a learning rate and a supervised token: nothing was learnt, and that every module can learn was not tested", warnings[-1])


class Rows(Learnable):
    mixed = [{"input_ids": [1, 2, 3, 4], "labels": [-100, 2, 3, 4]}, {"input_ids": [1, 2, 3, 4], "labels": [-100, -100, -100, 4]}, {"input_ids": [7]}]

    def test_rows_that_lose_all_are_told_from_those_that_lose_their_end(self):
        rows = write_rows(self.folder / "r.jsonl", self.mixed)
        flags = {"data": rows, "eval_data": rows, "seq_len": 3, "steps": 2, "batch_size": 3}
        expected = [f"warning: {rows}: 2 of 3 rows were longer than --seq-len and lost their end; 1 of them lost all their supervised tokens, and teach nothing",
                    f"warning: {rows}: 1 of 3 rows have no supervised token, and teach nothing"]
        self.assertEqual(expected * 2, self.warnings(*self.words(**flags)))
        self.assertEqual(expected * 2, self.warnings(*self.words("check", **flags)))
        self.assertEqual(expected, self.warnings("eval", "--model", self.model, "--data", rows, "--seq-len", 3))
        facts = self.json(*self.words("check", **flags))
        for counts in (facts, facts["eval"]): self.assertEqual((2, 1, 1), tuple(counts[k] for k in ("cut_rows", "emptied_rows", "unsupervised_rows")))
        self.assertIn("longest 3 tokens, 2 cut, 2 without a supervised token\n", self.ok(*self.words("check", **flags)))
        self.fails(3, *self.words("check", data=rows, seq_len=1), says="(2 rows lost theirs to --seq-len 1)")

    def test_a_step_without_a_supervised_token_is_not_timed(self):
        rows = write_rows(self.folder / "r.jsonl", [{"input_ids": [5, 6], "labels": [5, -100]}, {"input_ids": [5, 6, 7]}])
        done = run(*self.words(data=rows, steps=4, batch_size=1, no_shuffle=True, profile="time", json=True))
        metrics = self.metrics(self.folder / "out")
        self.assertEqual([True, False] * 2, [m["loss"] is None for m in metrics])
        self.assertEqual([True, False] * 2, [m["tokens_per_s"] is None for m in metrics])
        for m in metrics[1::2]: self.assertAlmostEqual(3 / m["seconds"], m["tokens_per_s"])
        steps = [line for line in done.stderr.splitlines() if line.startswith("step ")]
        self.assertIn("loss -  lr 2.00e-04  - tokens/s  - left", steps[0])
        profile = json.loads(done.stdout)["profile"]
        self.assertEqual((4, 4, 1), tuple(profile[k] for k in ("first_step", "last_step", "steps")))
        self.assertAlmostEqual(metrics[3]["seconds"], profile["seconds"])
        self.assertIn("time of a step: ", done.stderr)

    def test_a_micro_batch_without_a_supervised_token_has_no_speed(self):
        rows = write_rows(self.folder / "r.jsonl", [{"input_ids": [5, 6], "labels": [5, -100]}, {"input_ids": [5, 6, 7]}])
        self.ok(*self.words(data=rows, steps=1, batch_size=1, grad_accum=2))
        (step,) = self.metrics(self.folder / "out")
        self.assertEqual(5, step["tokens"])
        self.assertAlmostEqual(3 / step["seconds"], step["tokens_per_s"])


class AttentionMask(Learnable):
    def loss(self, rows, **flags):
        report = self.json("eval", "--model", self.model, "--data", write_rows(self.folder / "m.jsonl", rows), "--precision", "f32")
        return report["loss"], report["supervised_tokens"], report["tokens"]

    def test_padded_rows_are_the_rows_without_their_pads(self):
        ids, labels = [65, 110, 110, 32, 115, 97, 119], [-100, 110, 110, 32, -100, 97, 119]
        plain = self.loss([{"input_ids": ids, "labels": labels}])
        self.assertEqual((5, 7), plain[1:])
        for places in ((0, 1, 2), (7, 8), (3,), (0, 4, 8)):
            with self.subTest(places=places):
                row = {"input_ids": list(ids), "labels": list(labels), "attention_mask": [1] * 7}
                for at in places:
                    for key, value in (("input_ids", 5), ("labels", 5), ("attention_mask", 0)): row[key].insert(at, value)
                self.assertEqual(plain, self.loss([row]))
                del row["labels"]
                self.assertEqual(self.loss([{"input_ids": ids}]), self.loss([row]))

    def test_the_value_of_transformers(self):
        folder = SHARED / "faults" / "attention-mask-left"
        if not folder.is_dir(): self.skipTest(f"SKIPPED: {folder} is not there")
        expected = json.loads((folder / "expected.json").read_text())
        report = self.json("eval", "--model", folder / "model", "--data", folder / "rows.jsonl", "--precision", "f32")
        self.assertAlmostEqual(expected["loss"], report["loss"], places=5)
        self.assertEqual(expected["supervised_tokens"], report["supervised_tokens"])

    def test_check_shows_what_is_left_and_errors_are_those_of_train(self):
        rows = write_rows(self.folder / "m.jsonl", [{"input_ids": [5, 5, 65, 66], "attention_mask": [0, 0, 1, 1]}])
        self.assertEqual([[65], [66]], [s["ids"] for s in self.json(*self.words("check", data=rows))["sample"]["spans"]])
        self.assertEqual(2, self.json(*self.words(data=rows, steps=1, batch_size=1))["tokens"])
        bad = write_rows(self.folder / "b.jsonl", [{"input_ids": [5, 65], "attention_mask": [0, 2]}])
        for command in ("train", "check"): self.fails(3, *self.words(command, data=bad, overwrite=True), says=":1: attention_mask[1]: expected 0 or 1, found 2")


    def test_columns_that_are_not_read(self):
        rows = write_rows(self.folder / "m.jsonl", [{"input_ids": [65, 66], "completion_mask": [0, 1], "position_ids": [3, 4]}])
        warnings = [f"warning: {rows}: completion_mask is not read: without labels every token is supervised (-100 is no loss)",
                    f"warning: {rows}: position_ids are not read: the positions of every row count from 0"]
        self.assertEqual(warnings, self.warnings(*self.words("check", data=rows)))
        self.assertEqual(warnings, self.warnings(*self.words(data=rows, steps=1)))


class EndToken(Learnable):
    EMBEDDING = "model.embed_tokens.weight"  # the head too

    def test_a_row_of_the_head_that_was_never_trained(self):
        def like_the_padding(rows): rows[END] = rows[257] = rows[258] = rows[259]
        def zero(rows): rows[END] = bytes(len(rows[END]))
        for change, found in ((like_the_padding, "equal to those of 3 other tokens"), (zero, "all zeros")):
            with self.subTest(found):
                model = self.with_tensor(self.EMBEDDING, change)
                (warning,) = self.warnings(*self.words(model=model, steps=1))
                self.assertIn(f'end token "<|endoftext|>" ({END}): its row of {self.EMBEDDING} is {found}, as if never trained', warning)
                for help in ("--target does not", f"--trainable-tokens {END}", "--full"): self.assertIn(help, warning)
                self.assertEqual([warning], self.warnings(*self.words("check", model=model)))
                # Where the rows do not ask for it, or the head is trained, there is nothing to say.
                for flags in ({"no_eos": True}, {"full": True, "rank": None}, {"modules_to_save": "lm_head"}, {"trainable_tokens": END}):
                    for command in ("train", "check"): self.assertEqual([], self.warnings(*self.words(command, model=model, steps=1, overwrite=True if command == "train" else None, **flags)))
                shutil.rmtree(model)
                shutil.rmtree(self.folder / "out")

    def test_rows_that_only_look_alike(self):
        # Another token's rows may be equal, one bit may differ, and NaN is a fault of its own.
        def change(rows):
            rows[257] = rows[258] = rows[259]
            rows[10] = rows[END][:-1] + bytes([rows[END][-1] ^ 1])
        self.assertEqual([], self.warnings(*self.words("check", model=self.with_tensor(self.EMBEDDING, change))))


class Numbers(Learnable):
    def overflowing(self):
        """A model whose logits are so large that exp(loss) is no double."""
        return self.with_tensor("model.norm.weight", lambda rows: rows.__setitem__(slice(None), [struct.pack("<f", 1e5)] * len(rows)))

    def test_a_perplexity_that_overflows_is_null_with_the_loss_beside_it(self):
        model = self.overflowing()
        report = self.json("eval", "--model", model, "--data", self.data, "--precision", "f32")
        self.assertGreater(report["loss"], 710)
        self.assertIsNone(report["perplexity"])
        self.assertEqual(4, report["rows"])
        self.assertIn("perplexity         inf\n", self.ok("eval", "--model", model, "--data", self.data, "--precision", "f32"))
        result = self.json(*self.words(model=model, eval_data=self.data, steps=2, precision="f32"))
        self.assertGreater(result["eval"]["loss"], 710)
        self.assertIsNone(result["eval"]["perplexity"])
        self.assertIn("(perplexity inf", (self.folder / "out" / "README.md").read_text())

    def test_a_last_update_beyond_f32_is_said(self):
        (warning,) = self.warnings(*self.words(full=True, rank=None, steps=1, lr=1e39))
        self.assertIn("of the trained tensors hold NaN or Inf, model.embed_tokens.weight is the first", warning)
        done = run(*self.words(steps=1, lr=1e39, save_every=1, output=self.folder / "adapter"))
        self.assertEqual(5, done.returncode, done.stderr)
        self.assertRegex(done.stderr, r"\nerror: model\.layers\.0\.self_attn\.q_proj\.lora_[AB]\.weight: expected finite numbers to save")
        self.assertEqual(["metrics.jsonl", "run.yaml"], sorted(p.name for p in (self.folder / "adapter").iterdir()))

    def test_a_loss_that_is_not_finite_costs_no_other_number(self):
        # Token 7 gives NaN; only the second of three rows has it. The head is a copy without it.
        model = self.copy_model()
        tensors = read_safetensors(model / "model.safetensors")
        dtype, shape, values = tensors["model.embed_tokens.weight"]
        config = json.loads((model / "config.json").read_text())
        tensors["lm_head.weight"] = (dtype, shape, values)
        size = len(values) // shape[0]
        tensors["model.embed_tokens.weight"] = (dtype, shape, values[:7 * size] + b"\0\0\xc0\x7f" + values[7 * size + 4:])
        write_safetensors(model / "model.safetensors", tensors)
        (model / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
        rows = write_rows(self.folder / "r.jsonl", [{"input_ids": [5, 6]}, {"input_ids": [7, 8, 9]}, {"input_ids": [5, 6]}])
        logits = self.folder / "logits.safetensors"
        done = run("eval", "--model", model, "--data", rows, "--logits", logits, "--json")
        self.assertEqual(5, done.returncode)
        self.assertEqual(f"error: {rows}: rows 2 to 2: expected a finite loss, found nan", done.stderr.strip())
        report = json.loads(done.stdout)
        self.assertEqual((None, None, 4, 7, 3), tuple(report[k] for k in ("loss", "perplexity", "supervised_tokens", "tokens", "rows")))
        self.assertEqual(["row.0", "row.1", "row.2"], sorted(read_safetensors(logits)))
        # What has been trained is kept whatever the evaluation finds.
        clean = write_rows(self.folder / "clean.jsonl", [{"input_ids": [5, 6, 9]}])
        done = run(*self.words(model=model, data=clean, eval_data=rows, eval_every=1, steps=2, json=True))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(2, done.stderr.count(f"warning: {rows}: rows 1 to 3: expected a finite loss, found nan"))
        result = json.loads(done.stdout)
        self.assertEqual((None, None, 3), tuple(result["eval"][k] for k in ("loss", "perplexity", "rows")))
        self.assertTrue(math.isfinite(result["loss"]))
        self.assertEqual([], [w for w in done.stderr.splitlines() if "tensors hold" in w and "the base's" not in w])
        self.assertIn("Loss on `r.jsonl`: not finite.", (self.folder / "out" / "README.md").read_text())
        self.assertTrue((self.folder / "out" / "adapter_model.safetensors").exists())
