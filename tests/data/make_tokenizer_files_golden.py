#!/usr/bin/env python3
"""A tiny tokenizer in folders whose files name tokens in every way there is, and what transformers makes of some texts with each.

    make_tokenizer_files_golden.py [OUT_DIR]          (default: folders/ next to this file; needs `pip install transformers`)

Writes OUT_DIR/golden.json: {"bases": {NAME: {file: content}}, "cases": [{"name", "base", "files", "class", "warns", "end",
"rows": [[text, ids, the ids' text without special tokens], ...]}, ...]}. Where transformers' class would put its own normalizer or
pre-tokenizer in place of the file's ("warns": true), the rows are the file's, as PreTrainedTokenizerFast reads it.
"""
import json
import os
import pathlib
import sys
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "critical"
from transformers import AutoTokenizer

TEXTS = ["a<|x|>b", "a <|x|> b <|y|>", "</s>x <s>y<|endoftext|>", "<pad>abc 12 ab", " abc\n", "", "A\u030a a"]
PIECES = ["<s>", "</s>", "<unk>"] + list("abcxyzs<|>/endoftp12") + ["\u00c5", "\u0120", "\u010a"]
MERGES = [("a", "b"), ("\u0120", "a"), ("ab", "c"), ("<", "s"), ("\u0120", "x"), ("1", "2")]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def vocabulary():
    vocab = {}
    for piece in PIECES + [left + right for left, right in MERGES]: vocab.setdefault(piece, len(vocab))
    return vocab


def tokenizer_json(added=("<s>", "</s>"), vocab=None, **parts):
    vocab = vocab or vocabulary()
    tokens, free = [], len(vocab)
    for item in added:
        token = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True, **(item if isinstance(item, dict) else {"content": item})}
        if "id" not in token: token["id"] = vocab[token["content"]] if token["content"] in vocab else free
        free = max(free, token["id"] + 1)
        tokens.append(token)
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": None, "pre_tokenizer": BYTE_LEVEL,
            "post_processor": None, "decoder": BYTE_LEVEL,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                      "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": [list(m) for m in MERGES]}, **parts}


def bases():
    hole = vocabulary()
    hole["z"] = len(hole) + 5
    starts = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
              "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}], "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}}
    digits = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL]}
    padding = {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"}
    json_bases = {"plain": tokenizer_json(), "hole": tokenizer_json(vocab=hole), "none": tokenizer_json(added=()), "starts": tokenizer_json(post_processor=starts),
                  "x": tokenizer_json(added=["<s>", "</s>", {"content": "<|x|>", "lstrip": True, "special": False}]), "gap": tokenizer_json(added=["</s>", {"id": 60, "content": "<|x|>"}]),
                  "digits": tokenizer_json(pre_tokenizer=digits), "nfc": tokenizer_json(normalizer={"type": "NFC"}), "padding": tokenizer_json(padding=padding),
                  "prefix": tokenizer_json(pre_tokenizer={**BYTE_LEVEL, "add_prefix_space": True})}
    merges = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in MERGES)
    return {**{name: {"tokenizer.json": value} for name, value in json_bases.items()},
            "merges": {"vocab.json": vocabulary(), "merges.txt": merges}, "merges-hole": {"vocab.json": hole, "merges.txt": merges}}


def token(content, **flags): return {"__type": "AddedToken", "content": content, **flags}


FAST, GPT2 = "PreTrainedTokenizerFast", "GPT2Tokenizer"
DECODER = {"added_tokens_decoder": {"41": {"content": "<|y|>", "special": True}, "40": {"content": "<|x|>", "lstrip": True}}}
MAP = {"special_tokens_map.json": {"bos_token": "<s>", "eos_token": {"content": "<|y|>", "lstrip": False}, "additional_special_tokens": ["<|x|>"]}}
ADDED = {"added_tokens.json": {"<|y|>": 33, "<|x|>": 32}}


def cases():
    """(name, base, config.json, tokenizer_config.json or None, other files)"""
    for model_type in ("gpt2", "llama", "mistral", "qwen2", "gpt_neox", None): yield f"no config, {model_type}", "plain", model_type, None, {}
    for key in ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "image_token"):
        yield f"{key}, text", "plain", "llama", {"tokenizer_class": FAST, key: "<|x|>"}, {}
    for flags in ({}, {"lstrip": True}, {"rstrip": True, "special": True}, {"single_word": True, "normalized": True}, {"normalized": False}):
        yield f"pad_token, object {flags}", "plain", "llama", {"tokenizer_class": FAST, "pad_token": token("<|x|>", **flags)}, {}
    yield "null is none", "plain", "gpt2", {"tokenizer_class": GPT2, "bos_token": None, "eos_token": "<s>", "unk_token": None}, {}
    yield "additional", "plain", "gpt2", {"tokenizer_class": FAST, "additional_special_tokens": ["<|x|>", token("<|y|>", rstrip=True)]}, {}
    yield "extra, list", "plain", "gpt2", {"tokenizer_class": FAST, "extra_special_tokens": ["<|y|>", "<|x|>"]}, {}
    yield "extra, map", "plain", "gpt2", {"tokenizer_class": FAST, "extra_special_tokens": {"image_token": "<|y|>", "x": "<|x|>"}}, {}
    yield "extra before additional", "plain", "llama", {"tokenizer_class": FAST, "extra_special_tokens": ["<|y|>"], "additional_special_tokens": ["<|x|>"]}, {}
    yield "extra map and additional", "plain", "llama", {"tokenizer_class": FAST, "extra_special_tokens": {"x": "<|y|>"}, "additional_special_tokens": ["<|x|>"]}, {}
    yield "extra empty, additional", "plain", "llama", {"tokenizer_class": FAST, "extra_special_tokens": [], "additional_special_tokens": ["<|x|>"]}, {}
    yield "saved names", "plain", "llama", {"tokenizer_class": FAST, "model_specific_special_tokens": {"x_token": "<|x|>"}}, {}
    yield "decoder", "plain", "llama", {"tokenizer_class": FAST, **DECODER}, {}
    yield "decoder silences", "plain", "llama", {"tokenizer_class": FAST, "added_tokens_decoder": {"34": {"content": "<|x|>"}}}, {**MAP, **ADDED}
    yield "an empty decoder silences", "plain", "llama", {"tokenizer_class": FAST, "added_tokens_decoder": {}}, {**MAP, **ADDED}
    yield "decoder silences tokenizer.json's", "x", "gpt2", {"tokenizer_class": GPT2, "added_tokens_decoder": {"50": {"content": "<|y|>", "special": True}}}, {}
    yield "decoder changes flags", "x", "llama", {"tokenizer_class": FAST, "added_tokens_decoder": {"31": {"content": "<|x|>", "rstrip": True, "special": True}}}, {}
    yield "a name makes special", "x", "llama", {"tokenizer_class": FAST, "pad_token": "<|x|>"}, {}
    yield "map", "plain", "llama", {"tokenizer_class": FAST}, MAP
    yield "map before config", "plain", "llama", {"tokenizer_class": FAST, "eos_token": "<pad>", "additional_special_tokens": ["<pad>"]}, MAP
    yield "map, extra", "plain", "llama", {"tokenizer_class": FAST, "extra_special_tokens": ["<|x|>"]}, {"special_tokens_map.json": {"extra_special_tokens": ["<|x|>", {"content": "<|y|>", "rstrip": True}], "pad_token": None}}
    yield "map, extra map", "plain", "llama", {"tokenizer_class": FAST}, {"special_tokens_map.json": {"extra_special_tokens": {"y_token": "<|y|>"}, "x_token": "<|x|>"}}
    yield "added_tokens", "plain", "llama", {"tokenizer_class": FAST}, ADDED
    yield "added_tokens and map", "plain", "gpt2", {"tokenizer_class": FAST}, {**ADDED, **MAP}
    yield "gap", "gap", "llama", {"tokenizer_class": FAST, "pad_token": "<|y|>"}, {}
    yield "hole", "hole", "llama", {"tokenizer_class": FAST, "pad_token": "<|y|>", "extra_special_tokens": ["<|x|>"]}, {}
    yield "padding names a token", "padding", "llama", {"tokenizer_class": FAST}, {}
    yield "padding against null", "padding", "llama", {"tokenizer_class": FAST, "pad_token": None}, {}
    yield "split_special_tokens", "x", "llama", {"tokenizer_class": FAST, "split_special_tokens": True, "pad_token": "<pad>"}, {}
    yield "add_bos_token beside tokenizer.json", "starts", "llama", {"tokenizer_class": FAST, "bos_token": "</s>", "add_bos_token": False, "add_eos_token": True, "eos_token": "</s>"}, {}
    for name in (GPT2, "GPT2TokenizerFast", FAST, "TokenizersBackend", "Unknown", "LlamaTokenizer"):
        yield f"add_prefix_space, {name}", "plain", "llama", {"tokenizer_class": name, "add_prefix_space": True}, {}
    yield "model_max_length", "plain", "llama", {"tokenizer_class": FAST, "model_max_length": 10 ** 30, "x": float("nan"), "y": float("-inf"), "padding_side": "left"}, {}
    yield "config.json's class", "plain", {"model_type": "llama", "tokenizer_class": GPT2}, {"pad_token": "<|x|>"}, {}
    yield "the model's own class", "nfc", "qwen2", {"tokenizer_class": GPT2}, {}
    yield "digits are kept", "digits", "llama", {"tokenizer_class": GPT2}, {}
    yield "a normalizer is kept", "nfc", "gpt2", {"tokenizer_class": GPT2}, {}
    yield "a prefix space is kept", "prefix", "gpt2", {"tokenizer_class": GPT2}, {}
    for model_type in ("gpt2", "opt", "qwen2", "qwen3", "gpt_neox"): yield f"merges, {model_type}", "merges", model_type, None, {}
    yield "merges, class", "merges", "llama", {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True, "pad_token": "<pad>"}, {}
    yield "merges, Qwen2", "merges", "gpt2", {"tokenizer_class": "Qwen2Tokenizer", "eos_token": token("<|x|>", lstrip=True), "pad_token": "<pad>"}, {}
    yield "merges, begin and end", "merges", "opt", {"tokenizer_class": GPT2, "bos_token": token("</s>", normalized=True), "eos_token": token("</s>", normalized=True), "add_bos_token": True, "add_eos_token": True}, {}
    yield "merges, begin without a name", "merges", "opt", {"add_bos_token": True}, {}
    yield "merges, no beginning", "merges", "opt", {"add_bos_token": True, "bos_token": None}, {}
    yield "merges, decoder", "merges", "gpt2", {"tokenizer_class": GPT2, **DECODER}, MAP
    yield "merges, slow files", "merges", "gpt2", {"tokenizer_class": GPT2, "pad_token": token("<|y|>")}, {**ADDED, **MAP}
    yield "merges, hole", "merges-hole", "gpt2", {"tokenizer_class": GPT2, "additional_special_tokens": ["<|x|>"]}, {}


def read(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items(): (pathlib.Path(folder) / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return AutoTokenizer.from_pretrained(folder)


def replaces(tokenizer, file, own):
    """Whether the class has put a normalizer or pre-tokenizer of its own in the file's place."""
    built = json.loads(tokenizer.backend_tokenizer.to_str())
    if "add_prefix_space" in own and built["pre_tokenizer"]["type"] == "ByteLevel": built["pre_tokenizer"]["add_prefix_space"] = False
    return any(built[key] != file[key] for key in ("normalizer", "pre_tokenizer"))


def main():
    all_bases, out = bases(), []
    for name, base, config, own, others in cases():
        files = dict(others)
        if config: files["config.json"] = config if isinstance(config, dict) else {"model_type": config}
        if own is not None: files["tokenizer_config.json"] = own
        whole = {**all_bases[base], **files}
        tokenizer = oracle = read(whole)
        warns = "tokenizer.json" in whole and replaces(tokenizer, whole["tokenizer.json"], own or {})
        if warns:  # the file's normalizer and pre-tokenizer, the class's tokens
            model = json.loads(tokenizer.backend_tokenizer.to_str())
            oracle = read({"tokenizer.json": {**whole["tokenizer.json"], "added_tokens": model["added_tokens"]}, "tokenizer_config.json": {"tokenizer_class": FAST}})
        rows = [[text, (ids := list(oracle(text)["input_ids"])), oracle.decode(ids, skip_special_tokens=True)] for text in TEXTS]
        out.append({"name": name, "base": base, "files": files, "class": type(tokenizer).__name__, "warns": warns, "end": tokenizer.eos_token_id if tokenizer.eos_token else None, "rows": rows})
    path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "folders") / "golden.json"
    dump = lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    lines = [f'{json.dumps(name)}:{dump(value)}' for name, value in all_bases.items()]
    path.write_text('{"bases":{\n' + ",\n".join(lines) + '\n},"cases":[\n' + ",\n".join(map(dump, out)) + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
