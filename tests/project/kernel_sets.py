#!/usr/bin/env python3
"""Of each set of kernels others see its table and nothing else: else the linker would take one set's inline functions for
another's, and a processor would meet instructions that it does not have. Nor has a set variables: there would be several of one.

    kernel_sets.py NM OBJECT...      joined_NAME.o as the sets were joined, and kernels_NAME.o as they are linked
"""
import pathlib, subprocess, sys, unittest

NM, OBJECTS = sys.argv[1], [pathlib.Path(word) for word in sys.argv[2:]]


def names(path, *options):
    """(name, type) of what is defined in an object, as nm lists it."""
    lines = subprocess.run([NM, "--defined-only", "--format=posix", *options, path], check=True, capture_output=True, text=True).stdout
    return sorted(tuple(line.split()[:2]) for line in lines.splitlines())


def seen(path):
    """What others may take: global, weak and unique names."""
    return [name for name, _ in names(path, "--extern-only")]


class KernelSets(unittest.TestCase):
    def test_a_set_shows_its_table_alone(self):
        linked = [path for path in OBJECTS if path.name.startswith("kernels_")]
        self.assertIn("kernels_baseline.o", [path.name for path in linked])
        for path in linked:
            with self.subTest(path.name): self.assertEqual(["loragrad_" + path.stem], seen(path))

    def test_a_set_keeps_nothing(self):
        for path in OBJECTS:
            with self.subTest(path.name): self.assertEqual([], [name for name, kind in names(path) if kind in "bBC" and not name.startswith("__odr_asan")])

    def test_the_test_can_fail(self):
        joined = [path for path in OBJECTS if path.name.startswith("joined_")]
        self.assertEqual(len(OBJECTS), 2 * len(joined))
        for path in joined: self.assertGreater(len(seen(path)), 20)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
