#!/usr/bin/env python3
"""What a build with sanitizers runs, and how (./run test --sanitize address|thread).

    sanitized.py address|thread [NAME ...]      the targets to build for the tests named, or for those of the kind
"""
import pathlib, sys

HERE = pathlib.Path(__file__).resolve().parent

# Of memory: what reads files that come from elsewhere. Of threads: what shares work among them. Others are run by name.
SUITES = {"address": ["io", "data", "cli"], "thread": ["threads"]}
# Of the command line's tests, of memory those that read files, as all take long (named, all are run); of threads those that
# write checkpoints beside the steps.
FILES = {
    "address": ["errors", "inspect", "odd_inputs", "pytorch_files", "tokenizer_files", "values", "config", "config_file", "convert"],
    "thread": ["resume"],
}
OPTIONS = {
    "address": {
        # A bus error is the program's own to handle, and to die of. What is used of a function's stack after its end is found.
        "ASAN_OPTIONS": "handle_sigbus=0:detect_stack_use_after_return=1:strict_string_checks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    },
    "thread": {
        # Tests fork when threads are there, and the child ends at once.
        "TSAN_OPTIONS": f"halt_on_error=1:die_after_fork=0:suppressions={HERE}/thread.supp",
    },
}
# The one set of kernels that is compiled with them (ops/cpu/meson.build).
KERNELS = {"LORAGRAD_MAX_CPU_ISA": "baseline"}
SLOWER = 10


def with_options(tests, kind, named):
    """The tests, as `meson introspect` lists them, with the sanitizer's options and time."""
    tests = [{**test, "timeout": SLOWER * test["timeout"], "env": {**test.get("env", {}), **KERNELS, **OPTIONS[kind]}} for test in tests]
    for test in tests:
        if test["name"] == "cli" and not (named and kind == "address"):
            print(f"cli: of its files {', '.join(FILES[kind])}", flush=True)
            test["cmd"] = [*test["cmd"], *(word for name in FILES[kind] for word in ("-k", f"test_{name}."))]
    return tests


def target(name):
    suite = name.split("-")[0]  # ops-walled is ops
    return {"cli": "app/loragrad", "threads": "tests/ops/test_threads"}.get(suite, f"tests/{suite}/test_{suite}")


if __name__ == "__main__":
    print(*sorted({target(name) for name in sys.argv[2:] or SUITES[sys.argv[1]]}))
