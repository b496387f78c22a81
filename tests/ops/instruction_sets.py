#!/usr/bin/env python3
"""The ops in every instruction set that this processor has, and on emulated processors that have less: a program that runs
here may have AVX-512 where it should not, and only a processor without it would tell.

    instruction_sets.py TEST_OPS LORAGRAD [LITTLE_MEMORY]      without the library (sanitizers) nothing is emulated
"""
import os, pathlib, platform, re, resource, shutil, subprocess, sys, unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True
from run_all import QUICK, SMALL_OPS

TEST_OPS, LORAGRAD, LITTLE_MEMORY = sys.argv[1], sys.argv[2], sys.argv[3:]
SETS = ["baseline", "avx2", "avx512", "avx512_bf16"]


def run(program, *words, before=(), **env):
    """The finished process. An emulator may have this many bytes of addresses: its notes of them are memory."""
    limit = (lambda: resource.setrlimit(resource.RLIMIT_AS, (32 << 30, 32 << 30))) if before else None
    return subprocess.run([*before, program, *words], capture_output=True, text=True, env={**os.environ, **env}, preexec_fn=limit)


def emulator(case, processor):
    if platform.machine() != "x86_64" or not LITTLE_MEMORY: case.skipTest("this build is not emulated")
    if not (qemu := shutil.which("qemu-x86_64")): case.skipTest("SKIPPED: qemu-x86_64 is not installed (Debian's qemu-user)")
    return [qemu, "-E", "LD_PRELOAD=" + LITTLE_MEMORY[0], "-cpu", processor]


class InstructionSets(unittest.TestCase):
    def check(self, name, **options):
        self.assertIn(f"\nkernels: {name}\n", run(LORAGRAD, "--version", **options).stdout)
        done = run(TEST_OPS, *SMALL_OPS, **{**QUICK, **options})
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertGreater(int(re.search(r"test cases: +(\d+)", done.stdout)[1]), 50)

    def emulated(self, processor, core, name):
        # What the user has told OpenBLAS about the real processor is wrong for this one.
        env = {"OPENBLAS_CORETYPE": core} if "OPENBLAS_CORETYPE" in os.environ else {}
        self.check(name, before=emulator(self, processor), LORAGRAD_MAX_CPU_ISA=SETS[-1], **env)

    def test_the_sets_below_the_best(self):
        best = re.search(r"kernels: (\w+)", run(LORAGRAD, "--version", LORAGRAD_MAX_CPU_ISA=SETS[-1]).stdout)[1]
        for name in SETS[:SETS.index(best)]:
            with self.subTest(name): self.check(name, LORAGRAD_MAX_CPU_ISA=name)

    def test_a_processor_without_avx(self): self.emulated("Nehalem", "Nehalem", "baseline")

    def test_a_processor_without_avx512(self): self.emulated("Haswell", "Haswell", "avx2")

    def test_registers_that_the_system_does_not_keep(self):
        done = run(LORAGRAD, "--version", before=emulator(self, "Haswell,-xsave"), LORAGRAD_MAX_CPU_ISA=SETS[-1])
        self.assertIn("\nkernels: baseline\n", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
