"""Low limits of memory (ulimit -v, ulimit -d): a command works, or ends with exit code 4 and one line that names the limit. Never a signal, a hang, or something half-written."""
import resource, shutil, subprocess

from support import BINARY, CliTest, on_processor, run, write_rows

MIB = 1 << 20


def limited(words, kind, limit):
    return subprocess.run([BINARY, *on_processor(words)], capture_output=True, text=True, timeout=60, preexec_fn=lambda: resource.setrlimit(kind, (limit, limit)))


class LowMemory(CliTest):
    def setUp(self):
        super().setUp()
        if limited(["--version"], resource.RLIMIT_AS, 4 << 30).returncode != 0: self.skipTest("SKIPPED: a sanitizer wants all addresses")
        self.out = self.folder / "out"
        data, adapter = ["--model", self.model, "--data", self.data], ["--model", self.model, "--adapter", self.adapter]
        two = ["--threads", 2]
        self.commands = {"train": ["train", *data, "--output", self.out, "--rank", 2, "--steps", 3, "--save-every", 1, *two],
                         "check": ["check", *data, *two],
                         "eval": ["eval", *data, *two],
                         "generate": ["generate", *adapter, "--prompt", "Ann", "--max-tokens", 8, *two],
                         "merge": ["merge", *adapter, "--output", self.out, *two],
                         "svd": ["combine", "--adapter", self.adapter, "--adapter", f"{self.adapter}:0.5", "--method", "svd", "--rank", 2, "--output", self.out],
                         "inspect": ["inspect", self.model],
                         "version": ["--version"]}

    def within(self, name, kind, limit):
        """Whether the command works within the limit; where it does not, it has to end as the rule says."""
        shutil.rmtree(self.out, ignore_errors=True)
        done = limited(self.commands[name], kind, limit)
        where = f"{name} within {limit // MIB} MiB: {done.returncode}: {done.stderr}"
        if done.returncode == 127:  # the system's own words, before the program begins
            self.assertIn("error while loading shared libraries: ", done.stderr, where)
        elif done.returncode != 0:
            self.assertEqual(4, done.returncode, where)
            self.assertRegex(done.stderr, rf"(\A|\n)error: [^\n]*\(\d+ MiB left of ulimit -[vd] {limit // MIB} MiB[^\n]*\n\Z|(\A|\n)error: memory: [^\n]* are left of ulimit -[vd] [^\n]* more will be needed[^\n]*\n\Z", where)
            self.assertEqual(1, done.stderr.count("error: "), where)
        self.assertIn([path.name for path in self.folder.iterdir()], ([], ["out"]), where)
        if done.returncode != 0 and self.out.exists():
            self.assertEqual("train", name, where)
            self.assertEqual(0, run(*self.commands[name], "--resume").returncode, where)
        return done.returncode == 0

    def sweep(self, name, kind, limits):
        works = [self.within(name, kind, limit * MIB) for limit in limits]
        self.assertTrue(works[-1], f"{name} within {limits[-1]} MiB")
        return works

    def test_addresses(self):
        for name in self.commands:
            works = self.sweep(name, resource.RLIMIT_AS, [64, *range(90, 220, 10), 320, 512, 2200])
            # Nothing is reserved that is not needed: these libraries take some 90 MiB, threads and code of products some 60.
            self.assertTrue(works[-2], f"{name} within 512 MiB")

    def test_data(self):
        for name in ("train", "generate"): self.assertFalse(all(self.sweep(name, resource.RLIMIT_DATA, [2, 8, 16, 24, 32, 40, 48, 56, 64, 80, 128, 512])))

    def test_a_forecast_above_the_limit(self):
        # Rows that do not fit at once; fewer would.
        rows = write_rows(self.folder / "rows.jsonl", [{"text": f"{i % 1000} " * 20} for i in range(2000)])
        done = limited([rows if word == self.data else word for word in self.commands["train"]] + ["--batch-size", 2000], resource.RLIMIT_AS, 450 * MIB)
        self.assertEqual(4, done.returncode, done.stderr)
        self.assertRegex(done.stderr, r"\Aerror: memory: \S+ MiB are left of ulimit -v 450 MiB, and \S+ [MG]iB more will be needed; --max-memory \d+MiB would fit \(\d+ rows? at a time\)\n\Z")
        self.assertEqual([rows], list(self.folder.iterdir()))
