"""Descriptors that are closed, full or left, and signals: what a run does about them."""
import json, os, pty, signal, subprocess

from support import BINARY, SHARED, CliTest, needs_own_memory, on_processor

STRESS = SHARED / "faults" / "stress"


class Descriptors(CliTest):
    def setUp(self):
        super().setUp()
        # Under nohup it is ignored, which children inherit.
        self.addCleanup(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_DFL))

    def words(self, *more, command="train", steps=4):
        if command == "merge": return [BINARY, *on_processor(["merge", "--model", self.model, "--adapter", self.adapter, "--output", self.folder / "out", *more])]
        return [BINARY, *on_processor(["train", "--model", self.model, "--data", self.data, "--output", self.folder / "out", "--rank", 2, "--steps", steps, *more])]

    def start(self, *more, steps=1000000, **options):
        process = subprocess.Popen(self.words(*more, steps=steps), **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options})
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process

    def until(self, stream, begins="step "):
        for line in stream:
            if line.startswith(begins): return
        self.fail("it never began")

    def assert_saved(self, steps=None):
        self.ok("eval", "--model", self.model, "--adapter", self.folder / "out", "--data", self.data)
        self.assertEqual(["out"], [p.name for p in self.folder.iterdir()])
        rows = self.metrics(self.folder / "out")
        if steps is not None: self.assertEqual(list(range(1, steps + 1)), [r["step"] for r in rows])

    def test_closed_at_start(self):
        for closed in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)):
            with self.subTest(closed):
                redirections = " ".join(f"{fd}{'<' if fd == 0 else '>'}&-" for fd in closed)
                done = subprocess.run(["sh", "-c", f'exec "$@" --overwrite {redirections}', "sh", *self.words()], capture_output=True, text=True, timeout=60)
                self.assertEqual(0, done.returncode, done.stderr)
                self.assert_saved(4)
        done = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *self.words("--overwrite", command="merge")], timeout=60)
        self.assertEqual(0, done.returncode)
        done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", BINARY, "tokenize", "--model", self.model], capture_output=True, text=True, timeout=60)
        self.assertEqual((0, "", ""), (done.returncode, done.stdout, done.stderr))

    def test_a_log_that_cannot_be_written_ends_nothing(self):
        if not os.path.exists("/dev/full"): self.skipTest("SKIPPED: no /dev/full")
        for command in ("train", "merge"):
            for streams in (("stdout",), ("stderr",), ("stdout", "stderr")):
                with self.subTest(command=command, streams=streams), open("/dev/full", "w") as full:
                    pipes = {name: full if name in streams else subprocess.PIPE for name in ("stdout", "stderr")}
                    done = subprocess.run(self.words("--overwrite", command=command), **pipes, text=True, timeout=60)
                    self.assertEqual(0, done.returncode, done.stderr)
                    if command == "train": self.assert_saved(4)
                    if streams == ("stdout",): self.assertEqual(1, done.stderr.count("warning: standard output: cannot write: No space left on device"), done.stderr)

    def test_a_result_that_was_asked_for_and_lost_is_an_error(self):
        for command in ("train", "merge"):
            with self.subTest(command), open("/dev/full", "w") as full:
                done = subprocess.run(self.words("--overwrite", "--json", command=command), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
                self.assertEqual(4, done.returncode)
                self.assertIn("error: standard output: cannot write: No space left on device", done.stderr)
                if command == "train": self.assert_saved(4)

    def test_a_reader_that_leaves(self):
        process = self.start(steps=300, stderr=subprocess.STDOUT)
        self.until(process.stdout, "step 20/")
        process.stdout.close()
        process.wait(timeout=100)
        self.assertEqual(0, process.returncode)
        self.assert_saved(300)

    def test_what_only_prints_ends_with_its_reader(self):
        for words in (["tokenize", "--model", self.model], ["generate", "--model", self.model, "--prompt", "Ann", "--max-tokens", 80], ["eval", "--model", self.model, "--data", self.data]):
            with self.subTest(words[0]):
                read, write = os.pipe()
                os.close(read)
                process = subprocess.Popen([BINARY, *on_processor(words)], stdin=subprocess.PIPE, stdout=write, stderr=subprocess.PIPE, text=True)
                os.close(write)
                _, error = process.communicate("".join('"Ann saw the cat."\n' for _ in range(5000)) if words[0] == "tokenize" else None, timeout=60)
                self.assertEqual(4, process.returncode, error)
                self.assertEqual("error: standard output: cannot write: Broken pipe\n", error)

    def test_metrics_that_cannot_be_written(self):
        process = subprocess.run(self.words("--metrics", "/dev/full"), capture_output=True, text=True, timeout=60)
        self.assertEqual(0, process.returncode, process.stderr)
        self.assertEqual(1, process.stderr.count("warning: /dev/full: cannot write: No space left on device; the metrics end here"), process.stderr)
        self.ok("eval", "--model", self.model, "--adapter", self.folder / "out", "--data", self.data)

    def test_hangup_saves(self):
        process = self.start()
        self.until(process.stderr)
        for _ in range(2): process.send_signal(signal.SIGHUP)  # of the shell, and of the system: the second stops nothing
        process.communicate(timeout=60)
        self.assertEqual(129, process.returncode)
        self.assert_saved()

    def test_what_comes_into_the_output_meanwhile_stays(self):
        subprocess.run(self.words(), capture_output=True, check=True)
        process = self.start("--overwrite", "--json")
        self.until(process.stderr)
        (self.folder / "out" / "notes.txt").write_text("a thought")
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
        self.assertEqual(130, process.returncode, error)
        self.assertEqual("a thought", (self.folder / "out" / "notes.txt").read_text())
        self.assertEqual(str(self.folder / "out"), json.loads(out)["output"])
        self.assert_saved()

    def test_hangup_that_was_ignored_stays_so(self):
        process = self.start(steps=300, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.until(process.stderr)
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=100)
        self.assertEqual(0, process.returncode)
        self.assert_saved(300)

    def test_the_second_of_interrupt_and_terminate_stops_at_once(self):
        for first, then, code in ((signal.SIGINT, signal.SIGTERM, (130, 143)), (signal.SIGHUP, signal.SIGTERM, (129, 143))):
            with self.subTest(first):
                process = self.start("--overwrite")
                self.until(process.stderr)
                process.send_signal(signal.SIGSTOP)
                for number in (first, then): process.send_signal(number)
                process.send_signal(signal.SIGCONT)
                process.communicate(timeout=60)
                self.assertIn(process.returncode, code)
                self.assertEqual(first == signal.SIGHUP, (self.folder / "out" / "adapter_config.json").exists())

    def test_a_terminal_that_goes_away(self):
        for more in ([], ["--json"]):
            with self.subTest(more):
                pid, terminal = pty.fork()
                if pid == 0: os.execv(BINARY, self.words("--overwrite", *more, steps=1000000))
                seen = b""
                while b"step 2" not in seen: seen += os.read(terminal, 4096)
                os.close(terminal)
                _, status = os.waitpid(pid, 0)
                self.assertEqual(129, os.waitstatus_to_exitcode(status))
                self.assert_saved()


class Stress(CliTest):
    """The scripts that showed each of these."""
    def script(self, name):
        if not STRESS.is_dir(): self.skipTest(f"SKIPPED: no {STRESS}")
        done = subprocess.run(["bash", str(STRESS / name)], cwd=self.folder, capture_output=True, text=True, timeout=300, env={**os.environ, "LG": BINARY, "SHARED": str(SHARED.resolve())})
        return done.stdout + done.stderr

    @needs_own_memory
    def test_threads(self):
        text = self.script("0-threads-abort.sh")
        self.assertRegex(text, r"\Aerror: threads: expected 400 that can be started, found \d+: Resource temporarily unavailable \(\d+ MiB left of ulimit -v \d+ MiB\)\n\Z")

    def test_a_full_disk_for_the_log(self):
        if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0: self.skipTest("SKIPPED: mounting needs root")
        text = self.script("1-stderr-full.sh")
        self.assertIn("rc 0\nREADME.md\nadapter_config.json\nadapter_model.safetensors\nmetrics.jsonl\n", text)

    def test_a_reader_that_leaves(self): self.assertRegex(self.script("2-sigpipe.sh"), r"rc 0 0\nout\n\Z")

    def test_a_limit_of_file_sizes(self):
        text = self.script("3-fsize.sh")
        self.assertIn("metrics.jsonl: cannot write: File too large; the metrics end here", text)
        self.assertIn("\nrc 4\n", text)
        self.assertRegex(text, r"\nerror: [^\n]*adapter_model.safetensors: cannot write: File too large\n\Z")
        self.assertEqual([["metrics.jsonl", "run.yaml"]], [sorted(p.name for p in folder.iterdir()) for folder in self.folder.iterdir()])

    def test_a_model_that_is_cut_short(self):
        
        text = self.script("4-sigbus.sh")
        self.assertIn("\nrc 4\n", text)
        self.assertTrue(text.endswith("\nerror: m/model.safetensors: cannot read: it was cut short, or its disk failed, while it was in use\n"), text[-400:])

    def test_closed_descriptors(self):
        text = self.script("5-fds.sh")
        self.assertTrue(text.startswith("rc 0\n"), text)
        self.assertEqual([1, 2, 3], [json.loads(line)["step"] for line in text.splitlines()[1:]])
