import json, shutil

from support import CliTest, floats, read_safetensors, run, write_rows, write_safetensors

METRICS = ["step", "loss", "lr", "grad_norm", "tokens", "supervised_tokens", "seconds", "tokens_per_s", "peak_bytes"]


class Train(CliTest):
    def words(self, output="out", **flags):
        flags = {"model": self.model, "data": self.data, "output": self.folder / output, "rank": 4, "steps": 3, **flags}
        words = ["train"]
        for name, value in flags.items():
            if value is None: continue
            words.append("--" + name.replace("_", "-"))
            if value is not True: words.append(value)
        return words

    def test_it_writes_a_peft_folder(self):
        result = self.json(*self.words(target="q_proj,up_proj", alpha=6.5, dropout=0.1, rslora=True))
        out = self.folder / "out"
        self.assertEqual(["README.md", "adapter_config.json", "adapter_model.safetensors", "metrics.jsonl", "run.yaml"], sorted(p.name for p in out.iterdir()))
        config = json.loads((out / "adapter_config.json").read_text())
        self.assertEqual((4, 6.5, 0.1, True, ["q_proj", "up_proj"], str(self.model)),
                         tuple(config[k] for k in ("r", "lora_alpha", "lora_dropout", "use_rslora", "target_modules", "base_model_name_or_path")))
        tensors = read_safetensors(out / "adapter_model.safetensors")
        self.assertEqual(8, len(tensors))
        self.assertEqual([4, 32], tensors["base_model.model.model.layers.1.mlp.up_proj.lora_A.weight"][1])
        self.assertTrue(any(floats(tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"][2])))
        self.assertEqual((3, False, 2 * 4 * (64 + 32 + 48), str(out)), tuple(result[k] for k in ("steps", "interrupted", "trainable_parameters", "output")))
        self.assertEqual([out], list(self.folder.iterdir()))

    def test_metrics_have_the_rows_of_the_contract(self):
        self.ok(*self.words(steps=4, lr=1e-3, warmup_steps=2, batch_size=2, grad_accum=2))
        rows = self.metrics(self.folder / "out")
        self.assertEqual([METRICS] * 4, [list(r) for r in rows])
        self.assertEqual([1, 2, 3, 4], [r["step"] for r in rows])
        self.assertEqual([0, 5e-4, 1e-3, 5e-4], [r["lr"] for r in rows])
        self.assertEqual(rows[0]["supervised_tokens"], rows[0]["tokens"] - 4)

    def test_what_is_said_before_the_first_step(self):
        done = run(*self.words(seq_len=12))
        self.assertEqual(0, done.returncode, done.stderr)
        for part in ("trainable params: 896 || all params: ", "q_proj 2, v_proj 2", "18 rows (text)", "supervised", "predicted peak memory: "): self.assertIn(part, done.stdout)
        self.assertIn("18 of 18 rows were longer than --seq-len", done.stderr)
        self.assertEqual(3, sum(line.startswith("step ") for line in done.stderr.splitlines()))
        self.assertNotIn("\r", done.stderr)
        done = run(*self.words("json", json=True))
        self.assertIn("trainable params: ", done.stderr)
        self.assertEqual(1, len(done.stdout.splitlines()))

    def test_the_time_profile(self):
        profile = self.json(*self.words(steps=4, profile="time", batch_size=2, grad_accum=2, eval_data=self.data, eval_every=1))["profile"]
        self.assertEqual((2, 4), (profile["first_step"], profile["last_step"]))
        kernels = {k["kernel"]: k for k in profile["kernels"]}
        # Two micro-batches of two layers; evaluations in between do not count.
        self.assertEqual((4, 4, 1), (kernels["attention"]["calls"], kernels["attention_backward"]["calls"], kernels["adamw"]["calls"]))
        self.assertEqual(0, kernels["attention"]["seconds"]["backward"] + kernels["attention_backward"]["seconds"]["forward"])
        self.assertLess(sum(sum(k["seconds"].values()) for k in kernels.values()), profile["seconds"])
        self.assertAlmostEqual(sum(s for name in ("gemm", "head_loss") for s in kernels[name]["seconds"].values()), sum(p["seconds"] for p in profile["products"]))
        done = run(*self.words("b", steps=4, profile="time"))
        for part in ("\nms of a step  ", "(the mean of steps 2 to 4)\n", "\ngemm  ", "\noutside kernels  ", "\nstep  ", "GFLOP/s\n"): self.assertIn(part, done.stdout)
        self.ok(*self.words("c", steps=4))
        b, c = ((self.folder / n / "adapter_model.safetensors").read_bytes() for n in "bc")
        self.assertEqual(b, c)

    def test_the_memory_profile(self):
        done = run(*self.words(profile="memory", json=True))
        self.assertIn("\nkept for backward  nodes ", done.stderr)
        self.assertEqual({"attention": 2, "gated": 2}, {op["op"]: op["nodes"] for op in json.loads(done.stdout)["profile"]["kept_for_backward"] if op["op"] in ("attention", "gated")})

    def test_same_seed_same_bytes_whatever_the_threads(self):
        read = lambda name: (self.folder / name / "adapter_model.safetensors").read_bytes()
        for how, flags in (("plain", {}), ("blocks", {"checkpoint_activations": True}), ("pieces", {"micro_batch": 2}), ("tokens", {"max_tokens_per_batch": 40})):
            with self.subTest(how):
                for threads in (1, 2, 3): self.ok(*self.words(f"{how}{threads}", threads=threads, batch_size=5, dropout=0.2, **flags))
                self.assertEqual(1, len({read(f"{how}{threads}") for threads in (1, 2, 3)}))
        self.ok(*self.words("other", seed=1, batch_size=5, dropout=0.2))
        self.assertNotEqual(read("plain1"), read("other"))

    def test_checkpointed_blocks_give_the_same_bytes(self):
        for name, flags in (("a", {}), ("b", {"checkpoint_activations": True})):
            self.ok(*self.words(name, target="all-linear", dropout=0.2, **flags))
            self.ok(*self.words(name + "-full", full=True, rank=None, **flags))
        for end in ("/adapter_model.safetensors", "-full/model.safetensors"):
            self.assertEqual(*((self.folder / (name + end)).read_bytes() for name in "ab"))

    def test_accumulation_equals_a_large_batch(self):
        self.ok(*self.words("large", batch_size=6, dropout=0))
        self.ok(*self.words("pieces", batch_size=2, grad_accum=3, dropout=0))
        for a, b in zip(self.metrics(self.folder / "large"), self.metrics(self.folder / "pieces")): self.assertAlmostEqual(a["loss"], b["loss"], places=5)

    def test_epochs_end_with_the_rows(self):
        words = self.words(epochs=2, batch_size=8)
        at = words.index("--steps")
        self.assertEqual(5, self.json(*words[:at], *words[at + 2:])["steps"])  # 36 rows of 18 x 2, the last step is short

    def test_evaluation(self):
        result = self.json(*self.words(eval_data=self.data, eval_every=2))
        self.assertEqual(["loss", "perplexity", "supervised_tokens", "tokens", "rows", "seconds"], list(result["eval"]))
        apart = self.json("eval", "--model", self.model, "--adapter", self.folder / "out", "--data", self.data)
        self.assertAlmostEqual(apart["loss"], result["eval"]["loss"], places=6)
        self.fails(2, *self.words("other", eval_every=2), says=("--eval-every", "--eval-data"))

    def test_init_adapter_goes_on_with_its_config(self):
        done = run(*self.words(init_adapter=self.adapter))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("warning: --rank is not used", done.stderr)
        first, second = (json.loads((d / "adapter_config.json").read_text()) for d in (self.adapter, self.folder / "out"))
        self.assertEqual(first, second)
        self.assertEqual(12, second["lora_alpha"])

    def test_full_writes_a_checkpoint(self):
        words = self.words(full=True)
        at = words.index("--rank")
        words = words[:at] + words[at + 2:]
        result = self.json(*words)
        self.assertEqual(result["all_parameters"], result["trainable_parameters"])
        base, new = read_safetensors(self.model / "model.safetensors"), read_safetensors(self.folder / "out" / "model.safetensors")
        self.assertEqual({n: t[:2] for n, t in base.items()}, {n: t[:2] for n, t in new.items()})
        self.assertNotEqual(base["model.norm.weight"], new["model.norm.weight"])
        self.ok("generate", "--model", self.folder / "out", "--prompt", "Ann", "--max-tokens", 3)
        self.fails(2, *self.words("other", full=True), says="--rank")

    def test_metrics_elsewhere(self):
        self.ok(*self.words(metrics=self.folder / "m.jsonl"))
        self.assertFalse((self.folder / "out" / "metrics.jsonl").exists())
        self.assertEqual(3, len((self.folder / "m.jsonl").read_text().splitlines()))
        (self.folder / "precious").write_text("keep me")
        self.fails(4, *self.words("other", metrics=self.folder / "precious"), says="precious")
        self.assertEqual("keep me", (self.folder / "precious").read_text())

    def test_an_existing_output_stays_without_overwrite(self):
        self.ok(*self.words())
        before = (self.folder / "out" / "adapter_model.safetensors").read_bytes()
        self.fails(4, *self.words(seed=1), says=self.folder / "out")
        self.assertEqual(before, (self.folder / "out" / "adapter_model.safetensors").read_bytes())
        self.ok(*self.words(seed=1, overwrite=True))
        self.assertNotEqual(before, (self.folder / "out" / "adapter_model.safetensors").read_bytes())
        (self.folder / "mine").mkdir()
        (self.folder / "mine" / "thesis.tex").write_text("text")
        self.fails(4, *self.words("mine", overwrite=True), says="thesis.tex")

    def test_an_output_that_is_an_input_is_refused(self):
        model = self.copy_model()
        self.fails(2, *self.words("model", model=model, overwrite=True), says="--output")

    def test_targets_that_match_nothing(self):
        self.fails(3, *self.words(target="q_prj"), says=("q_prj", "q_proj"))
        self.fails(3, *self.words(target="regex:.*nothing"), says=".*nothing")
        self.fails(2, *self.words(target="regex:[a"), says="[a")

    def test_bad_data(self):
        for name, text, says in (("json", '{"text": "a"}\n{"text": \n', ":2"), ("type", '{"text": 5}\n', ":1: text"), ("mixed", '{"text": "a"}\n{"prompt": "a", "completion": "b"}\n', ":2"),
                                 ("field", '{"tekst": "a"}\n', ":1"), ("empty", "", "row"), ("ids", '{"input_ids": [5, 999], "labels": [5, 999]}\n', "999"),
                                 ("unsupervised", '{"input_ids": [5, 6], "labels": [-100, -100]}\n', "supervised"),
                                 ("long", json.dumps({"text": "a" * 20}) + "\n" + json.dumps({"text": "a" * 120}) + "\n", "row 2: expected at most the model's 96 positions, found 121")):
            with self.subTest(name):
                path = self.folder / f"{name}.jsonl"
                path.write_text(text)
                self.fails(3, *self.words(data=path), says=(path, says))
        (self.folder / "utf8.jsonl").write_bytes(b'{"text": "\xff"}\n')
        self.fails(3, *self.words(data=self.folder / "utf8.jsonl"), says="utf8.jsonl:1")
        self.fails(4, *self.words(data=self.folder / "missing.jsonl"), says="missing.jsonl")

    def test_bad_models(self):
        self.fails(4, *self.words(model=self.folder / "missing"), says="missing")
        self.fails(4, *self.words(model=self.data / "train.jsonl"), says="train.jsonl")
        self.fails(4, *self.words(model=self.data), says="config.json")
        for key, value, says in (("model_type", "mamba", ("mamba", "llama")), ("hidden_act", "tanhh", "tanhh"), ("num_key_value_heads", 3, "num_key_value_heads"),
                                 ("intermediate_size", 40, "up_proj"), ("num_hidden_layers", 10**9, "num_hidden_layers"), ("rope_scaling", {"rope_type": "spiral", "factor": 2.0}, "spiral")):
            with self.subTest(key):
                model = self.copy_model(key)
                config = json.loads((model / "config.json").read_text())
                (model / "config.json").write_text(json.dumps({**config, key: value}))
                self.fails(3, *self.words(model=model), says=says)
        model = self.copy_model("short")
        weights = (model / "model.safetensors").read_bytes()
        (model / "model.safetensors").write_bytes(weights[:-100])
        self.fails(3, *self.words(model=model), says="model.safetensors")

    def test_nan_in_the_base_is_a_warning_and_then_a_numeric_error(self):
        model = self.copy_model()
        tensors = read_safetensors(model / "model.safetensors")
        dtype, shape, values = tensors["model.norm.weight"]
        tensors["model.norm.weight"] = (dtype, shape, b"\0\0\xc0\x7f" + values[4:])
        write_safetensors(model / "model.safetensors", tensors)
        done = run(*self.words(model=model))
        self.assertIn("warning: 1 of the base's tensors hold NaN or Inf, model.norm.weight is the first", done.stderr)
        self.fails(5, *self.words(model=model), says="step 1")

    def test_pretokenised_rows_need_no_tokenizer(self):
        model = self.copy_model()
        for name in ("tokenizer.json", "tokenizer_config.json"): (model / name).unlink()
        rows = write_rows(self.folder / "ids.jsonl", [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}])
        self.assertEqual(2, self.json(*self.words(model=model, data=rows, steps=1, batch_size=1))["supervised_tokens"])
        self.fails(3, *self.words("other", model=model), says="tokenizer")

    def test_a_read_only_place(self):
        import os
        if os.geteuid() == 0 and not os.path.isdir("/proc/self"): self.skipTest("root may write everywhere")
        output = "/proc/loragrad-out" if os.geteuid() == 0 else "/loragrad-out"
        done = run(*self.words(output=output))
        self.assertEqual(4, done.returncode)
        self.assertIn(output, done.stderr)

    def test_prompts_and_completions(self):
        rows = write_rows(self.folder / "pc.jsonl", [{"prompt": "Ann saw", "completion": " a cat"}] * 2)
        # The completion's 6 bytes and the end token.
        self.assertEqual(14, self.json(*self.words(data=rows, steps=1, batch_size=2))["supervised_tokens"])
        self.assertEqual(12, self.json(*self.words("no-eos", data=rows, steps=1, batch_size=2, no_eos=True))["supervised_tokens"])
