"""A training run whose disk fails or forgets: at each of its calls for files, what is left can be gone on with. All of the
calls are tried by tests/soak (LORAGRAD_SOAK), some here."""
import errno, os, pathlib, random, re, shutil, tempfile, unittest

import disk
from support import CliTest, run

SHIM = os.environ.get("LORAGRAD_DISK_SHIM", "")
SOAK = bool(os.environ.get("LORAGRAD_SOAK"))


@unittest.skipUnless(os.path.exists(SHIM), f"SKIPPED: no {SHIM or 'LORAGRAD_DISK_SHIM'}")
class Crashes(CliTest):
    def setUp(self):
        super().setUp()
        self.whole = self.place()
        self.ok(*self.words(self.whole))
        self.bytes = self.outcome(self.whole)

    def place(self): return pathlib.Path(tempfile.mkdtemp(dir=self.folder))

    def words(self, place, *more):
        return ["train", "--model", self.model, "--data", self.data, "--output", place / "out", "--rank", 2, "--alpha", 3, "--steps", 6, "--batch-size", 2, "--lr", 1e-2,
                "--save-every", 2, "--eval-data", self.data, "--eval-every", 3, *more]

    def outcome(self, place):
        out = place / "out"
        files = {p.relative_to(out): p.read_bytes() for name in ("", "best") for p in (out / name).iterdir() if p.suffix in (".safetensors", ".json")}
        return files, [(row["step"], row["loss"]) for row in self.metrics(out)]

    def disk(self, place, **settings):
        return {"env": {"LD_PRELOAD": SHIM, "DISK_ROOT": f"{place}/", **{f"DISK_{name.upper()}": str(value) for name, value in settings.items() if value}}}

    def some(self, cases, count):
        cases = list(cases)
        return cases if SOAK or len(cases) <= count else random.Random(3).sample(cases, count)

    def goes_on(self, place):
        """--resume ends as a run that nothing happened to; the step that it went on from."""
        done = run(*self.words(place, "--resume"))
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(self.bytes, self.outcome(place))
        self.assertEqual([], list((place / "out").rglob(".*")))
        found = re.search(r"resumes after step (\d+)", done.stderr)
        return int(found[1]) if found else 0

    def journal(self):
        place, file = self.place(), self.folder / "journal"
        self.ok(*self.words(place), **self.disk(place, journal=file))
        self.assertEqual(self.bytes, self.outcome(place))
        return place, file.read_text().splitlines()

    def test_the_power_goes_at_any_call(self):
        root, lines = self.journal()
        # The disk that is played again is the one that was written.
        played = disk.Disk(str(root))
        for line in lines: played.play(line)
        there = {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in root.rglob("*")}
        self.assertEqual(there, played.tree("now", "now"))
        self.assertEqual({k: v for k, v in there.items()}, played.tree("now", "kept"))
        saved, safe, named = [], 0, 0  # by the number of calls: the newest checkpoint that nothing may take away
        for line in lines:
            if found := re.search(r"^rename\t.*/checkpoints/step-(\d+)$", line): named = int(found[1])
            if line.startswith("syncfolder") and line.endswith("/checkpoints"): safe = named
            saved.append(safe)
        self.assertEqual(6, safe)
        cases = list(disk.crashes(str(root), lines))
        some = self.some(cases, 25)
        print(f"crashes: {len(some)} of {len(cases)} different states of the disk, of {len(lines)} calls", flush=True)
        for count, tree in some:
            with self.subTest(calls=count):
                place = self.place()
                disk.put(tree, place)
                self.assertGreaterEqual(self.goes_on(place), saved[count - 1] if count else 0)
                shutil.rmtree(place)

    def test_a_call_fails(self):
        _, lines = self.journal()
        kinds = [(number, {"errno": number}) for number in (errno.ENOSPC, errno.EIO, errno.EROFS)] + [("full", {"errno": errno.ENOSPC, "forever": 1}), ("short", {"short": 1})]
        cases = [(at, kind) for at in range(1, len(lines) + 1) for kind in kinds]
        cases = self.some(cases, 25)
        print(f"faults: {len(cases)} injected", flush=True)
        for at, (name, settings) in cases:
            with self.subTest(call=at, kind=name):
                place = self.place()
                other = self.place()
                settings = self.disk(place, fail_at=at, **settings)
                settings["env"]["TMPDIR"] = str(other)
                done = run(*self.words(place), cwd=other, **settings)
                self.assertIn(done.returncode, (0, 4), done.stderr)
                self.assertEqual(done.returncode == 4, "error: " in done.stderr, done.stderr)
                if name == "short": self.assertEqual(0, done.returncode, done.stderr)
                # What has been trained is there, or elsewhere, or was not begun with.
                trained = [place / "out", *other.iterdir()]
                there = [p for p in trained if (p / "adapter_config.json").exists()]
                if "step 6/6" in done.stderr: self.assertTrue(there, done.stderr)
                for p in there: self.assertEqual(self.bytes[0][pathlib.Path("adapter_model.safetensors")], (p / "adapter_model.safetensors").read_bytes())
                if done.returncode == 0: self.assertIn(place / "out", there)
                if (place / "out").exists() and there != [place / "out"]: self.goes_on(place)
                for p in (place, other): shutil.rmtree(p)
