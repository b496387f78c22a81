import json, signal, subprocess, time

from support import BINARY, CONFIG, CliTest, on_processor, write_rows


class Interrupt(CliTest):
    def start(self, *extra):
        words = ["train", "--model", self.model, "--data", self.data, "--output", self.folder / "out", "--rank", "2", "--steps", "1000000", "--json", *extra]
        return subprocess.Popen([BINARY, *on_processor(words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def until_training(self, process):
        for line in process.stderr:
            if line.startswith("step "): return
        self.fail("it never began")

    def test_a_signal_ends_after_a_step_and_saves(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(number):
                process = self.start("--overwrite")
                self.until_training(process)
                process.send_signal(number)
                out, _ = process.communicate(timeout=60)
                self.assertEqual(code, process.returncode)
                result = json.loads(out)
                self.assertTrue(result["interrupted"])
                self.assertEqual(result["steps"], self.metrics(self.folder / "out")[-1]["step"])
                self.assertEqual([self.folder / "out"], list(self.folder.iterdir()))
                self.ok("eval", "--model", self.model, "--adapter", self.folder / "out", "--data", self.data)

    def interrupted_before_training(self, words, when):
        """Ends at once, and leaves nothing."""
        before = sorted(self.folder.iterdir())
        process = subprocess.Popen([BINARY, *on_processor([*words, "--output", self.folder / "out", "--data", self.rows, "--steps", 1, "--json"])],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        when(process)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=120)
        self.assertEqual((130, ""), (process.returncode, out), error)
        self.assertTrue(error.endswith("error: interrupted\n"), error)
        self.assertNotIn("step 1/1", error)
        self.assertEqual(before, sorted(self.folder.iterdir()))

    def until_planned(self, process):
        for line in process.stderr:
            if line.startswith("predicted peak memory"): return
        self.fail("it never planned")

    def until_there(self, process):
        while process.poll() is None and not (self.folder / "out").exists(): time.sleep(0.002)

    def test_a_signal_before_the_first_step_ends_at_once(self):
        config = self.folder / "config.json"
        config.write_text(json.dumps({**CONFIG, "hidden_size": 768, "intermediate_size": 1024, "num_hidden_layers": 2}))
        self.rows = write_rows(self.folder / "few.jsonl", [{"text": "abc"}])
        self.ok("pretrain", "--config-json", config, "--data", self.rows, "--output", self.folder / "wide", "--steps", 1)
        # Decomposing the weights takes seconds.
        self.interrupted_before_training(["train", "--model", self.folder / "wide", "--init", "pissa", "--target", "all-linear", "--rank", 64], self.until_planned)
        self.rows = write_rows(self.folder / "many.jsonl", [{"text": "abc " * 20}] * 40000)
        self.interrupted_before_training(["train", "--model", self.model], self.until_there)
        self.interrupted_before_training(["pretrain", "--config-json", config], self.until_there)

    def test_an_evaluation_that_is_interrupted_leaves_no_logits(self):
        rows = write_rows(self.folder / "rows.jsonl", [{"input_ids": [3 + i % 200, *range(5, 95)]} for i in range(20000)])
        file = self.folder / "logits"
        process = subprocess.Popen([BINARY, *on_processor(["eval", "--model", self.model, "--data", rows, "--logits", file])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        begun, header = self.folder / f".logits.tmp-{process.pid}", 4 << 20
        while process.poll() is None and not (begun.exists() and begun.stat().st_size > header): time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(130, process.returncode)
        self.assertEqual([rows], list(self.folder.iterdir()))

    def test_a_second_signal_stops_at_once(self):
        process = self.start()
        self.until_training(process)
        # Both before the program can get to its next poll: it is stopped meanwhile. Different signals, as equal ones merge.
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
        self.assertIn(process.returncode, (130, 143))
        self.assertFalse((self.folder / "out" / "adapter_config.json").exists())

    def test_another_process_is_refused_while_one_writes(self):
        process = self.start()
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.until_training(process)
        (self.folder / "config.json").write_text(json.dumps(CONFIG))
        for words in (("train", "--model", self.model, "--data", self.data, "--steps", 1),
                      ("train", "--model", self.model, "--data", self.data, "--steps", 1, "--overwrite"),
                      ("merge", "--model", self.model, "--adapter", self.adapter),
                      ("pretrain", "--config-json", self.folder / "config.json", "--data", self.data, "--steps", 1)):
            with self.subTest(words[0]):
                self.fails(4, *words, "--output", self.folder / "out", says=(self.folder / "out", f"found process {process.pid} writing it"))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.ok("train", "--model", self.model, "--data", self.data, "--steps", 1, "--output", self.folder / "out", "--overwrite")
        self.assertEqual(["config.json", "out"], sorted(p.name for p in self.folder.iterdir()))
