"""loragrad demo with few steps and one seed: the table, and the cache."""
import json, os, pathlib, pty, subprocess, tempfile, unittest

from support import BINARY

# What depends neither on how much was learned nor on how busy the machine is.
SURE = ("trainable", "count", "gradients", "optimizer", "memory", "adapter_size", "merged_equals_adapter", "swap")
OTHERS = ("time", "accuracy_who", "accuracy_cheer", "forgetting_who", "forgetting_cheer", "merged_speed", "compose", "rank")


def demo(cache, *flags):
    return subprocess.run([BINARY, "demo", "--quick", *flags], env={**os.environ, "XDG_CACHE_HOME": str(cache)},
                          capture_output=True, text=True, timeout=400)


class Demo(unittest.TestCase):
    def test_measures_every_claim_and_keeps_the_base(self):
        with tempfile.TemporaryDirectory() as cache:
            first = demo(cache, "--json")
            self.assertEqual(0, first.returncode, first.stderr)
            report = json.loads(first.stdout)
            claims = {claim["id"]: claim for claim in report["claims"]}
            self.assertEqual(sorted(SURE + OTHERS), sorted(claims))
            for name in SURE: self.assertTrue(claims[name]["holds"], claims[name])
            self.assertIsNone(report["setting"]["base"])
            self.assertEqual(20, report["setting"]["base_seed"])
            # No terminal: a line for each tenth of the steps, and nothing else.
            progress = first.stderr.splitlines()
            self.assertEqual(10, len(progress), first.stderr)
            for line in progress: self.assertRegex(line, r"^\d+/\d+ steps  \d+m?\d*s  .+, loss \d+\.\d{3}$")
            done, total = progress[-1].split(" ")[0].split("/")
            self.assertEqual(total, done)
            self.assertEqual(1, len(os.listdir(pathlib.Path(cache, "loragrad", "demo"))))

            second = demo(cache)
            self.assertEqual(0, second.returncode, second.stderr)
            self.assertNotIn("pretraining", second.stderr)
            lines = second.stdout.splitlines()
            self.assertLessEqual(max(map(len, lines)), 100, second.stdout)
            self.assertEqual(len(claims), sum(line.endswith((" yes", " NO")) for line in lines), second.stdout)

    def test_goes_on_without_a_cache(self):
        with tempfile.TemporaryDirectory() as folder:
            no_folder = pathlib.Path(folder, "file")
            no_folder.write_text("")
            result = demo(no_folder)
            self.assertEqual(0, result.returncode, result.stderr)
            self.assertIn("the base will not be kept", result.stderr)

    def test_progress_is_one_line_of_a_terminal(self):
        with tempfile.TemporaryDirectory() as cache:
            main, terminal = pty.openpty()
            with open(os.devnull, "w") as nowhere:
                run = subprocess.Popen([BINARY, "demo", "--quick", "--seed", "21"], stdout=nowhere, stderr=terminal,
                                       env={**os.environ, "XDG_CACHE_HOME": cache})
            os.close(terminal)
            shown = b""
            while True:
                try: part = os.read(main, 65536)
                except OSError: break  # how a terminal ends whose last writer has gone
                if not part: break
                shown += part
            os.close(main)
            self.assertEqual(0, run.wait(), shown)
            self.assertEqual(1, shown.count(b"\n"), shown)
            self.assertGreater(shown.count(b"\r"), 100, shown)
            self.assertIn(b"[####", shown)
