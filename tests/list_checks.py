"""Writes a test case "op NAME" or "variant NAME" for each op or adapter variant of the headers as they are now:

    list_checks.py op|variant SOURCE_ROOT OUTPUT

Each must have a function NAME_cases(), by custom in a file of its name in tests/ops or tests/lora: without it the test program does
not link.
"""
import pathlib, re, sys

# For each kind: the headers, what they declare one with, the header of the checks, the cases' type, and the check.
KINDS = {
    "op": (["ops/*.h", "lora/lora_linear.h", "lora/lora_embedding.h", "lora/lora_head.h"], r"^(?:Tensor|CrossEntropy)\s+(\w+)\(", "tests/ops/all_ops.h", "OpCase", "check_op({0}_cases())"),
    "variant": (["lora/variants.h"], r"^const LoraVariant& (\w+)\(\);", "tests/lora/all_variants.h", "VariantCase",
                "check_variant({0}(), {0}_cases())"),
}

kind, root, output = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
headers, declaration, include, case, check = KINDS[kind]
files = sorted(file for pattern in headers for file in root.glob(pattern))
names = sorted({name for file in files for name in re.findall(declaration, file.read_text(), re.MULTILINE)})
if not names:
    sys.exit(f"{root}: {', '.join(headers)}: expected declarations of {kind}s, found none")

lines = ["#include <doctest/doctest.h>", "", f'#include "{include}"', "", "namespace loragrad {"]
for name in names:
    lines += ["", f"std::vector<{case}> {name}_cases();", f'TEST_CASE("{kind} {name}") {{ {check.format(name)}; }}']
lines += ["", "}  // namespace loragrad", ""]
text = "\n".join(lines)
if not output.exists() or output.read_text() != text:  # unchanged: nothing is compiled again
    output.write_text(text)
