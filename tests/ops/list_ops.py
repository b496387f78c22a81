"""Writes a test case "op NAME" for each op, which checks its cases (tests/ops/all_ops.h): list_ops.py SOURCE_ROOT OUTPUT.

An op is a free function of ops/*.h or lora/lora_linear.h that returns a Tensor or a CrossEntropy. Each must have a function
`std::vector<OpCase> <op>_cases()`, in tests/ops/<op>.cpp by custom: without it the test program does not link.
"""
import pathlib
import re
import sys

root, output = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
headers = sorted(root.glob("ops/*.h")) + [root / "lora" / "lora_linear.h"]
ops = sorted({op for header in headers
              for op in re.findall(r"^(?:Tensor|CrossEntropy)\s+(\w+)\(", header.read_text(), re.MULTILINE)})
if not ops:
    sys.exit(f"{root}: ops/*.h: expected functions that return a Tensor, found none")

lines = ["#include <doctest/doctest.h>", "", '#include "tests/ops/all_ops.h"', "", "namespace loragrad {"]
for op in ops:
    lines += ["", f"std::vector<OpCase> {op}_cases();", f'TEST_CASE("op {op}") {{ check_op({op}_cases()); }}']
lines += ["", "}  // namespace loragrad", ""]
text = "\n".join(lines)
if not output.exists() or output.read_text() != text:  # unchanged: nothing is compiled again
    output.write_text(text)
