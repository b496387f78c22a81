#!/usr/bin/env python3
"""Includes point downward only, and each heavy or device library stays in its place.

    layering.py ROOT
"""
import pathlib, re, subprocess, sys, unittest

ROOT = pathlib.Path(sys.argv.pop()) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]
# A folder and all that it may include.
MAY = {
    "engine": set(),
    "io": {"engine"},
    "ops": {"engine"},
    "optim": {"engine"},
    "data": {"io", "engine"},
    "lora": {"ops", "engine", "io"},
    "models": {"lora", "ops", "engine", "io"},
    "train": {"models", "lora", "ops", "engine", "optim", "data", "io"},
    "app": {"train", "models", "lora", "ops", "engine", "optim", "data", "io"},
}
# A header, and the only folder or files that may include it.
ONLY = {
    r"Eigen/|unsupported/Eigen": ["ops/cpu/", "lora/merge/svd.cpp"],
    r"cblas\.h|dnnl|omp\.h": ["ops/cpu/"],
    r"benchmark/": ["bench/"],
    r"cuda|cublas": ["ops/cuda/", "tests/cuda/", "tests/cuda_emulation/"],
    r"boost/": ["tests/cuda_emulation/"],
    r"nlohmann/": ["io/json.cpp"],
    r"yaml\.h": ["io/flat_yaml.cpp"],
    r"pcre2\.h": ["data/", "lora/"],
    r"utf8proc\.h": ["data/"],
    r"doctest/": ["tests/"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.MULTILINE)


def violations(path, text):
    """What one file includes and may not."""
    folder, found = path.split("/")[0], []
    for include in INCLUDE.findall(text):
        target = include.split("/")[0]
        if folder in MAY and target in MAY and target != folder and target not in MAY[folder]:
            found.append(f"{path} includes {include}: {folder} stands below {target}")
        for header, places in ONLY.items():
            if re.match(header, include) and not any(path.startswith(place) for place in places):
                found.append(f"{path} includes {include}: only {', '.join(places)} may")
    if folder in MAY and not path.startswith(("ops/cpu/", "ops/cuda/")) and re.search(r"^#\s*if.*(DNNL|ONEDNN|CUDA|AVX)", text, re.MULTILINE):
        found.append(f"{path}: conditional compilation outside the backend folders")
    return found


class Layering(unittest.TestCase):
    def test_every_file(self):
        files = [p for folder in [*MAY, "tests", "examples", "bench"] for end in ("*.h", "*.cpp", "*.cu") for p in (ROOT / folder).rglob(end)]
        self.assertGreater(len(files), 50)
        self.assertEqual([], [v for p in files for v in violations(p.relative_to(ROOT).as_posix(), p.read_text())])

    def test_installed_headers_say_which_threads_may_use_them(self):
        done = subprocess.run([sys.executable, ROOT / "public_headers.py"], capture_output=True, text=True, check=True)
        headers = set(done.stdout.split()) - {"loragrad.h"}
        self.assertGreater(len(headers), 30)
        self.assertEqual([], sorted(h for h in headers if "\n// Threads: " not in (ROOT / h).read_text()))
        self.assertNotIn("ops/checks.h", headers)

    def test_the_test_can_fail(self):
        self.assertEqual(1, len(violations("engine/x.h", '#include "ops/linear.h"\n')))
        self.assertEqual(1, len(violations("models/x.cpp", "#include <Eigen/Dense>\n")))
        self.assertEqual(1, len(violations("ops/x.cpp", "#ifdef USE_ONEDNN\n#endif\n")))


if __name__ == "__main__":
    unittest.main()
