#!/usr/bin/env python3
"""What Python's re makes of the patterns in golden/patterns.txt: golden/regex.json, which tests/lora/patterns.cpp reads.

    python3 tests/lora/make_regex_golden.py

{"names": [...], "results": [[PATTERN, WHOLE, KEY], ...]}: a letter for each name, + where re.fullmatch(PATTERN, name) matches, and where
re.match of PEFT's (.*\\.)?(PATTERN)$ does; "" where re refuses the pattern. Made with Python 3.11; 3.14 is the first that reads \\z.
"""
import json, pathlib, re, sys, warnings

GOLDEN = pathlib.Path(__file__).parent / "golden"
NAMES = ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.k_proj", "model.layers.11.self_attn.v_proj", "model.layers.0.self_attn.o_proj",
         "model.layers.1.mlp.gate_proj", "model.layers.10.mlp.up_proj", "model.layers.2.mlp.down_proj", "model.decoder.layers.3.fc1",
         "model.decoder.layers.12.self_attn.out_proj", "transformer.h.0.attn.c_attn", "transformer.h.7.mlp.c_proj", "lm_head", "q_proj",
         "a", "A", "aa", "Aa", "aXa", "[a]", "a]", "a-b", "a{,2}", "a{x}", "{", "a&", ":]a", "b\\d", ""]
MORE = ["(?x)a# not\na", "(?x)a#\\\na", "(?x)a#\\", "a|a\n?", "(?m)a\n?^?a", "a\ta?", "[a\n]+", "(?x)a\\\n?a", "(?x: a )\t?a"]


def compiled(pattern):
    try: return re.compile(pattern)
    except (re.error, ValueError, OverflowError): return None


def marks(pattern, match): return "".join("+" if match(pattern, name) else "-" for name in NAMES) if pattern else ""


if __name__ == "__main__":
    if not (3, 11) <= sys.version_info < (3, 14): sys.exit("expected Python 3.11 to 3.13")
    warnings.simplefilter("ignore")
    results = [[p, marks(compiled(p), lambda r, name: r.fullmatch(name)), marks(compiled(f"(.*\\.)?({p})$"), lambda r, name: r.match(name))]
               for p in (GOLDEN / "patterns.txt").read_text().splitlines() + MORE]
    lines = [json.dumps(row) for row in results]
    (GOLDEN / "regex.json").write_text('{"names": ' + json.dumps(NAMES) + ',\n "results": [\n' + ",\n".join(lines) + "\n]}\n")
    print(len(results), "patterns,", sum(not r[1] for r in results), "refused")
