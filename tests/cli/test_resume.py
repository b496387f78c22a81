"""Checkpoints, and runs that go on from them."""
import json, os, random, re, shutil, signal, subprocess

from support import BINARY, EMULATED, CliTest, on_processor, run, write_rows

FLAGS = {"rank": 3, "alpha": 7, "dropout": 0.2, "steps": 12, "lr": 1e-2, "batch_size": 3, "grad_accum": 2}


class Resume(CliTest):
    def words(self, output="out", *more, command="train", **flags):
        flags = {"model": self.model, "data": self.data, "output": self.folder / output, **FLAGS, **flags}
        words = [command]
        for name, value in flags.items():
            if value is not None: words += ["--" + name.replace("_", "-")] + ([] if value is True else [value])
        return [*words, *more]

    def bytes(self, output="out"):
        """The adapter or model, and the steps' losses."""
        folder = self.folder / output
        files = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".safetensors", ".json")}
        return files, [{k: row[k] for k in ("step", "loss", "lr", "grad_norm", "tokens", "supervised_tokens")} for row in self.metrics(folder)]

    def crashed(self, source, step, output="out"):
        """What a run that was killed right after the checkpoint of `step` has left, metrics further than it."""
        folder = self.folder / output
        if source != output:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.folder / source, folder)
        for file in folder.iterdir():
            if file.is_file() and file.name != "metrics.jsonl": file.unlink()
        for checkpoint in (folder / "checkpoints").iterdir():
            if int(checkpoint.name[5:]) > step: shutil.rmtree(checkpoint)
        with open(folder / "metrics.jsonl", "r+") as file: file.truncate(file.seek(0, os.SEEK_END) - 40)

    def steps(self, output="out"): return sorted(int(p.name[5:]) for p in (self.folder / output / "checkpoints").iterdir())

    def check_exact(self, *more, step=4, resumed=(), options=None, **flags):
        options = options or {}
        self.ok(*self.words("whole", *more, **flags), **options)
        self.ok(*self.words("saved", *more, save_every=step, keep=9, **flags), **options)
        self.assertEqual(self.bytes("whole"), self.bytes("saved"))
        self.crashed("saved", step)
        done = run(*self.words("out", *more, "--resume", *resumed, **flags), **options)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(f"resumes after step {step} from {self.folder}/out/checkpoints/step-{step}\n", done.stderr)
        self.assertEqual(self.bytes("whole"), self.bytes())
        for name in ("whole", "saved"): shutil.rmtree(self.folder / name)
        return done

    def test_exact(self):
        cases = {"linear": {}, "cosine": {"schedule": "cosine", "warmup_steps": 3}, "epochs": {"steps": None, "epochs": 2, "no_shuffle": True}, "dora": {"dora": True}, "pissa": {"init": "pissa", "target": "all-linear"},
                 "beside": {"bias": "all", "modules_to_save": "lm_head"}, "start": {"init_adapter": self.adapter, "rank": None, "alpha": None, "dropout": None}, "full": {"full": True, "rank": None, "alpha": None, "dropout": None},
                 "tokens": {"trainable_tokens": "65,66"}, "embedding": {"target": "embed_tokens,q_proj"}, "head": {"target": "lm_head,q_proj"}, "evaluated": {"eval_data": self.data, "eval_every": 3}}
        for name, flags in cases.items():
            with self.subTest(name): self.check_exact(**flags)

    def test_threads_and_blocks_are_free(self):
        for more in (["--threads", 1], ["--threads", 3], ["--checkpoint-activations"], ["--keep", 5, "--save-every", "10m"]):
            with self.subTest(more): self.check_exact(resumed=more)

    def test_pretrain(self):
        flags = {"command": "pretrain", "model": None, "rank": None, "alpha": None, "dropout": None, "config_json": self.samples / "config.json", "steps": 7}
        self.check_exact(**flags)
        other = json.loads((self.samples / "config.json").read_text())
        (self.folder / "c.json").write_text(json.dumps({**other, "rms_norm_eps": 1e-3}))
        self.fails(3, *self.words("out", "--resume", **{**flags, "config_json": self.folder / "c.json"}), says="found no checkpoint" if not (self.folder / "out/checkpoints").exists() else "another base")

    def test_gpu(self):
        if not os.path.exists(EMULATED): self.skipTest(f"SKIPPED: no {EMULATED}")
        options = {"binary": EMULATED, "env": {"EMULATED_GPUS": "1 9.0 4096 13000"}}
        done = self.check_exact("--device", "cuda", step=2, steps=4, batch_size=2, grad_accum=1, options=options)
        self.assertNotIn("not bit for bit", done.stderr)
        # Elsewhere it goes on with a note.
        self.crashed("out", 2, "other")
        done = run(*self.words("other", "--device", "cpu", "--resume", steps=4, batch_size=2, grad_accum=1))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stderr, r"resume: computed by cpu, \S+ by [^\n]* instead of Emulated GPU: not bit for bit\n")

    def test_ten_and_ten_are_twenty(self):
        self.ok(*self.words("whole", steps=20, schedule="constant"))
        self.ok(*self.words(steps=10, schedule="constant", save_every=100))
        self.assertEqual([10], self.steps())
        done = run(*self.words("out", "--resume", steps=20, schedule="constant"))
        self.assertIn("resume: 20 steps instead of 10: the schedule follows the new number from here on\n", done.stderr)
        self.assertEqual(self.bytes("whole"), self.bytes())

    def test_signals_leave_a_checkpoint(self):
        # Under nohup the tests inherit its being ignored.
        self.addCleanup(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_DFL))
        self.ok(*self.words("whole", steps=200))
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            with self.subTest(number):
                process = subprocess.Popen([BINARY, *on_processor(self.words("out", "--overwrite", steps=200))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                for line in process.stderr:
                    if line.startswith("step 3/"): break
                process.send_signal(number)
                out, error = process.communicate(timeout=60)
                self.assertEqual(code, process.returncode, error)
                self.assertIn("interrupted; wrote", out)
                (step,) = self.steps()
                self.assertEqual(step, self.metrics(self.folder / "out")[-1]["step"])
                self.ok("eval", "--model", self.model, "--adapter", self.folder / "out", "--data", self.data)
                self.ok(*self.words("out", "--resume", steps=200))
                self.assertEqual(self.bytes("whole"), self.bytes())

    def test_killed_at_random_moments(self):
        self.ok(*self.words("whole", steps=60))
        wanted = int(os.environ.get("LORAGRAD_SOAK") or 6)
        rng, kills = random.Random(5), 0
        while kills < wanted:
            process = subprocess.Popen([BINARY, *on_processor(self.words("out", "--resume", steps=60, save_every=1))], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                process.communicate(timeout=rng.uniform(0.05, 1.2))
                self.assertEqual(0, process.returncode)
                shutil.rmtree(self.folder / "out")
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
        self.ok(*self.words("out", "--resume", steps=60))
        self.assertEqual(self.bytes("whole"), self.bytes())
        self.assertEqual([], [p for p in (self.folder / "out").rglob(".*")])
        print(f"kills: {kills} survived", flush=True)

    def test_how_many_stay(self):
        for keep, stay in ((None, [9, 12]), (1, [9, 12]), (3, [6, 9, 12])):
            self.ok(*self.words("out", "--overwrite", save_every=3, keep=keep))
            self.assertEqual(stay, self.steps())
        self.ok(*self.words("none"))
        self.assertFalse((self.folder / "none" / "checkpoints").exists())
        self.ok(*self.words("timed", save_every="2h"))
        self.assertEqual([12], self.steps("timed"))
        for wrong in ("0", "-1", "m", "1.5h", "10 m", "10d", ""): self.fails(2, *self.words("other", save_every=wrong), says="--save-every: expected a number of steps, or a time")
        self.fails(2, *self.words("other", "--force-resume"), says="--force-resume: expected --resume beside it")

    def test_nothing_to_resume(self):
        done = run(*self.words("out", "--resume"))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn(f"--resume: no checkpoint in {self.folder}/out: the run begins anew\n", done.stderr)
        # A finished output is nobody's to replace.
        self.fails(4, *self.words("out", "--resume"), says="a finished output without checkpoints to go on from (--overwrite begins anew)")
        self.ok(*self.words("out", "--resume", "--overwrite", save_every=5, keep=9))
        before = self.bytes()
        stamp = (self.folder / "out/adapter_model.safetensors").stat().st_mtime_ns
        done = run(*self.words("out", "--resume"))
        self.assertEqual((0, False), (done.returncode, "wrote" in done.stdout))
        self.assertIn(f"nothing left to do: {self.folder}/out has all 12 steps\n", done.stderr)
        self.assertEqual(12, self.json(*self.words("out", "--resume"))["steps"])
        self.assertEqual((before, stamp), (self.bytes(), (self.folder / "out/adapter_model.safetensors").stat().st_mtime_ns))
        # An unfinished one is told.
        self.crashed("out", 5)
        self.fails(4, *self.words("out"), says="found an unfinished run (--resume goes on with it, --overwrite begins anew)")
        self.fails(4, "merge", "--model", self.model, "--adapter", self.adapter, "--output", self.folder / "out", says="found an earlier output")
        shutil.rmtree(self.folder / "out/checkpoints")
        self.ok(*self.words("out", "--resume"))
        self.assertEqual(before, self.bytes())

    def test_differences(self):
        self.ok(*self.words("saved", save_every=5, keep=9))
        self.crashed("saved", 5)
        error = self.fails(3, *self.words("out", "--resume", lr=0.5, seed=3, schedule="cosine", grad_accum=1, dora=True),
                           says=(self.folder / "out/checkpoints/step-5", "--lr 0.5 instead of 0.01", "--seed 3 instead of 0", "--schedule cosine instead of linear", "--grad-accum 1 instead of 2", "--dora yes instead of no", "--force-resume"))
        self.assertNotIn("--rank", error)
        other = write_rows(self.folder / "other.jsonl", [{"text": "zzzz"}] * 8)
        self.fails(3, *self.words("out", "--resume", data=other), says="other rows in --data")
        self.fails(3, *self.words("out", "--resume", seq_len=5), says=("other rows in --data", "--seq-len 5 instead of 512"))
        self.fails(3, *self.words("out", "--resume", steps=11), says="11 steps instead of 12")
        model = self.copy_model("changed")
        weights = bytearray((model / "model.safetensors").read_bytes())
        weights[-2] ^= 1
        (model / "model.safetensors").write_bytes(weights)
        self.fails(3, *self.words("out", "--resume", model=model), says="another base")
        # The same files under other names are the same.
        shutil.copytree(self.data, self.folder / "moved")
        done = run(*self.words("out", "--resume", data=self.folder / "moved", model=self.copy_model("copied")))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(self.bytes("saved")[1], self.bytes()[1])

    def test_more_epochs_count_the_steps_that_were(self):
        # 10 rows by 4: the first run's last step took 2 of them, so the second has one more than ten by four, twice.
        data = write_rows(self.folder / "ten.jsonl", [{"text": f"row {i} of ten"} for i in range(10)])
        flags = {"data": data, "steps": None, "batch_size": 4, "grad_accum": None}
        self.ok(*self.words(save_every=1, epochs=1, **flags))
        self.assertEqual(6, self.json("check", *self.words("out", "--resume", epochs=2, **flags)[1:])["steps"])
        done = run(*self.words("out", "--resume", save_every=1, epochs=2, **flags))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("steps: 6 of 4 rows\n", done.stdout)
        self.assertIn("6 steps instead of 3", done.stderr)
        self.assertEqual({"step": 6, "of_steps": 6}, {key: self.json("inspect", self.folder / "out/checkpoints/step-6")[key] for key in ("step", "of_steps")})

    def test_checkpoints_leave_no_memory_behind(self):
        self.ok(*self.words(save_every=1, steps=150, lr=1e-3))
        peaks = [row["peak_bytes"] for row in self.metrics(self.folder / "out")]
        self.assertLess(peaks[-1] - peaks[29], 2 << 20)  # a page of small objects each would be 8 MiB

    def test_forced(self):
        self.ok(*self.words("saved", save_every=5, keep=9))
        self.crashed("saved", 5)
        done = run(*self.words("out", "--resume", "--force-resume", lr=0.5))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("expected the run that left it, found --lr 0.5 instead of 0.01\n", done.stderr)
        self.crashed("saved", 5)
        self.fails(3, *self.words("out", "--resume", "--force-resume", rank=5), says=("lora_A.weight: expected [5, 32], found [3, 32] in the checkpoint",))

    def test_damage(self):
        self.ok(*self.words("saved", save_every=4))
        self.crashed("saved", 8)
        self.assertEqual([8], self.steps())
        shutil.copytree(self.folder / "saved/checkpoints/step-12", self.folder / "out/checkpoints/step-12")
        file = self.folder / "out/checkpoints/step-12/optimizer.safetensors"
        data = bytearray(file.read_bytes())
        data[-5] ^= 64
        file.write_bytes(data)
        done = run(*self.words("out", "--resume", save_every=4))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertRegex(done.stderr, rf"warning: {file}: expected bytes whose hash is \w+, found \w+; the checkpoint before it is taken\n")
        self.assertEqual(self.bytes("saved"), self.bytes())
        self.assertEqual([8, 12], self.steps())
        self.crashed("saved", 8)
        for checkpoint in (self.folder / "out/checkpoints").iterdir(): (checkpoint / "state.json").write_text("{}")
        self.fails(3, *self.words("out", "--resume"), says=("expected a checkpoint that is whole, found 1 damaged", "state.json"))

    def test_a_checkpoint_is_an_adapter(self):
        self.ok(*self.words(save_every=6, init="pissa", target="all-linear"))
        checkpoint = self.folder / "out/checkpoints/step-12"
        both = [("eval", "--model", self.model, "--data", self.data, "--json"), ("generate", "--model", self.model, "--prompt", "Ann", "--max-tokens", 5, "--json")]
        for words in both:
            a, b = (json.loads(self.ok(*words, "--adapter", adapter)) for adapter in (checkpoint, self.folder / "out"))
            for facts in (a, b):
                for key in ("seconds", "tokens_per_s"): facts.pop(key, None)
            self.assertEqual(a, b)
        self.ok("merge", "--model", self.model, "--adapter", checkpoint, "--output", self.folder / "merged")
        facts = self.json("inspect", checkpoint)
        self.assertEqual(("checkpoint", 12, 12, "an adapter", 6), tuple(facts[key] for key in ("kind", "step", "of_steps", "trained", "rank")))
        self.ok(*self.words("full", full=True, save_every=6, rank=None, alpha=None, dropout=None))
        facts = self.json("inspect", self.folder / "full/checkpoints/step-6")
        self.assertEqual(("checkpoint", 6, "all parameters"), tuple(facts[key] for key in ("kind", "step", "trained")))
        self.crashed("out", 12)
        facts = self.json("inspect", self.folder / "out")
        self.assertEqual(("unfinished run", [6, 12], 12), (facts["kind"], facts["checkpoints"], facts["newest"]["step"]))
        self.assertIn("unfinished run", self.ok("inspect", self.folder / "out"))
        (checkpoint / "adapter_config.json").write_text("{}")
        self.fails(3, "inspect", checkpoint, says="adapter_config.json: expected 1")

    def test_metrics_elsewhere_are_cut_back_too(self):
        self.ok(*self.words("saved", save_every=5, keep=9))
        self.crashed("saved", 5)
        for file in (self.folder / "m", self.folder / "new"):
            if file.name == "m": shutil.move(self.folder / "out/metrics.jsonl", file)
            self.ok(*self.words("out", "--resume", metrics=file))
            steps = [json.loads(line)["step"] for line in file.read_text().splitlines()]
            self.assertEqual(list(range(1 if file.name == "m" else 6, 13)), steps)
            self.crashed("saved", 5)

    def test_the_best_evaluation_is_remembered(self):
        flags = {"data": write_rows(self.folder / "rows.jsonl", [{"text": "zzzz qqqq xxxx"}] * 8), "eval_data": self.data, "eval_every": 2, "lr": 3e-2, "schedule": "constant"}
        whole = self.json(*self.words("whole", **flags))
        self.json(*self.words("saved", save_every=4, keep=9, **flags))
        self.crashed("saved", 4)
        resumed = self.json(*self.words("out", "--resume", **flags))
        self.assertEqual(2, resumed["best"]["step"])
        self.assertEqual(whole["best"]["loss"], resumed["best"]["loss"])
        self.assertEqual(*((self.folder / name / "best/adapter_model.safetensors").read_bytes() for name in ("whole", "out")))
        stop = {**flags, "early_stop": 2, "steps": 40}
        whole = self.json(*self.words("stopped", save_every=100, **stop))
        self.assertTrue(whole["early_stopped"])
        self.assertIn(f"nothing left to do: {self.folder}/stopped stopped early after {whole['steps']} of 40 steps; a larger --early-stop goes on\n", run(*self.words("stopped", "--resume", **stop)).stderr)
        more = self.json(*self.words("stopped", "--resume", **{**stop, "early_stop": 4}))
        self.assertEqual((True, whole["steps"] + 4), (more["early_stopped"], more["steps"]))
        # What is in best/ is of steps that were given up.
        self.crashed("saved", 4)
        evaluation = self.folder / "out/best/evaluation.json"
        self.assertEqual(resumed["best"]["loss"], json.loads(evaluation.read_text())["loss"])
        evaluation.write_text(json.dumps({"step": 10, "loss": 0.5}))
        self.assertRegex(self.ok(*self.words("out", "--resume", **flags)), r"best evaluation: loss \d\.\d+ after step 2, not kept\n")
        self.assertFalse(evaluation.parent.exists())

    def test_a_best_adapter_that_was_kept_is_kept_up(self):
        flags = {"eval_data": self.data, "schedule": "constant", "dropout": 0, "lr": 5e-3, "batch_size": 9}
        first = self.json(*self.words("out", save_every=4, steps=4, eval_every=2, **flags))
        self.assertEqual(4, first["best"]["step"])
        self.assertTrue((self.folder / "out/best/README.md").exists())
        done = self.json(*self.words("out", "--resume", steps=8, **flags))
        self.assertEqual((8, str(self.folder / "out/best")), (done["best"]["step"], done["best"]["folder"]))
        self.assertEqual(*((self.folder / name / "adapter_model.safetensors").read_bytes() for name in ("out", "out/best")))
        self.assertEqual({k: done["best"][k] for k in ("step", "loss")}, json.loads((self.folder / "out/best/evaluation.json").read_text()))

    def test_a_limit_of_memory_splits_as_before(self):
        wide = {**json.loads((self.samples / "config.json").read_text()), "intermediate_size": 2048, "num_hidden_layers": 1, "max_position_embeddings": 512}
        (self.folder / "c.json").write_text(json.dumps(wide))
        rows = write_rows(self.folder / "rows.jsonl", [{"text": chr(97 + i) * 300} for i in range(8)])
        self.ok("pretrain", "--config-json", self.folder / "c.json", "--data", rows, "--output", self.folder / "wide", "--steps", 1)
        flags = {"model": self.folder / "wide", "data": rows, "batch_size": 8, "grad_accum": 1, "steps": 4}
        least = self.fails(4, *self.words("x", **flags, max_memory=1 << 20), says="expected at least ")
        limited = {**flags, "max_memory": f"{int(re.search('at least ([0-9]+) MiB', least)[1]) + 3}MiB"}
        whole = self.json(*self.words("whole", **limited))
        self.assertLess(whole["memory"]["rows_at_once"], 8)
        self.ok(*self.words("saved", save_every=2, keep=9, **limited))
        self.crashed("saved", 2)
        result = self.json(*self.words("out", "--resume", **flags))
        self.assertEqual(whole["memory"]["rows_at_once"], result["memory"]["rows_at_once"])
        self.assertEqual(self.bytes("whole"), self.bytes())

        # With nothing to go on from it is a run as any other, whose blocks are not checkpointed to keep its rows together.
        first = self.json(*self.words("first", "--resume", save_every=2, **limited))
        for key in ("rows_at_once", "checkpoint_activations"):
            self.assertEqual(whole["memory"][key], first["memory"][key])
            for found in ([], ["--resume"]): self.assertEqual(whole["memory"][key], self.json("check", *self.words("new", *found, **limited)[1:])[key])
        self.assertFalse((self.folder / "new").exists())

    def test_a_loss_that_is_no_number_ends_the_run_and_is_never_saved(self):
        done = run(*self.words(lr=1e39, save_every=1, keep=9, schedule="constant", warmup_steps=1))
        self.assertEqual(5, done.returncode, done.stderr)
        self.assertIn("expected a finite loss", done.stderr)
        # The second step's is told of in the third, which has no end.
        self.assertIn("the checkpoint of step 2 is not written", done.stderr)
        self.assertEqual([1], self.steps())
        self.assertFalse((self.folder / "out/adapter_config.json").exists())
        for step in self.steps(): self.json("inspect", self.folder / f"out/checkpoints/step-{step}")
        # What was there stays.
        self.ok(*self.words("other"))
        before = self.bytes("other")[0]
        self.assertEqual(5, run(*self.words("other", "--overwrite", lr=1e39)).returncode)
        self.assertEqual(before, self.bytes("other")[0])
        # Killed beside an earlier output, and before its first checkpoint, it begins anew.
        self.ok(*self.words("other", "--resume"))
        self.assertEqual(before["adapter_model.safetensors"], self.bytes("other")[0]["adapter_model.safetensors"])
