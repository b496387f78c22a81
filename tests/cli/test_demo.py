"""loragrad demo with few steps and one seed: the table, and the cache."""
import json, os, pathlib, subprocess, tempfile, unittest

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
