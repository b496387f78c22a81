#!/usr/bin/env python3
"""Small tokenizers of every style that is read, and what the `tokenizers` library makes of some texts with them.

    make_tokenizer_golden.py [OUT_DIR]          (default: golden/ next to this file; needs `pip install tokenizers`)

Writes OUT_DIR/STYLE.json (a tokenizer.json) and OUT_DIR/STYLE.cases.jsonl with rows [text, ids, ids without special tokens,
the ids' text without special tokens, and with them].
"""
import json
import pathlib
import sys

from tokenizers import AddedToken, Regex, Tokenizer, models, trainers
from tokenizers import decoders as de, normalizers as no, pre_tokenizers as pre, processors as post

CORPUS = ("the cat and the hen sat on the mat in the rain; then the cat ran to the hen's den and the hen ran on.\n"
          "there are 12 cats, 34 hens and 1234 ants here: aren't there? we'll see them when they're there, then we've seen them.\n"
          "for (int i = 0; i < n; ++i) {\n    sum += i;\n    print(sum);\n}\n\tother than that, the rest is the same.\n") * 4
MERGES = 45
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
SPACE = "\u2581"

TEXTS = ["", " ", "   ", "\n", "the", " the cat", "the cat and the hen ran.", "aren't WE'LL they'RE 's", "1234567 12 3", "x = 1;\r\n  y = 2\n",
         "a\tb\t\tc   ", "caf\u00e9 cafe\u0301 \u1e9b\u0323 \u212b", "\u65e5\u672c\u8a9e \ud55c\uad6d", "\U0001f642\u200d\u2642 \u00bd\u2167", "\u00a0x\u2003y\u180ez\u3000w\u0085",
         SPACE + "the " + SPACE * 2, " " * 9 + "then", "the" * 12, "\x00\x7f", "it\u017f 'S\u212a", "a\u0315\u0300\u05ae\u0062 q\u0323\u0307", "\n \n\n  the\n", "THE  CAT, The Hen; RAIN Rain \u00c7a \u0130\u03a3 \u1e9e\u01c5 \u216b\U00010400 "]


def added(content, special=True, **flags):
    return AddedToken(content, special=special, normalized=flags.pop("normalized", False), **flags)


def trained(tokenizer, specials, alphabet, merges=MERGES):
    trainer = trainers.BpeTrainer(vocab_size=len(specials) + len(alphabet) + merges, special_tokens=specials,
                                  initial_alphabet=alphabet, limit_alphabet=len(alphabet), show_progress=False)
    tokenizer.train_from_iterator(CORPUS.splitlines(keepends=True), trainer)
    return tokenizer


def byte_level(steps, specials, normalizer=None, processor=None, **model):
    t = Tokenizer(models.BPE(**model))
    if normalizer: t.normalizer = normalizer
    t.pre_tokenizer = steps
    trained(t, specials, pre.ByteLevel.alphabet())
    t.decoder = de.ByteLevel()
    t.post_processor = processor(t) if processor else post.ByteLevel(trim_offsets=False)
    return t


def with_bytes(specials, normalizer, steps, decoder, processor=None, scheme="never", merges=MERGES):
    """Characters of the corpus, merges, and a token for each byte."""
    base = Tokenizer(models.BPE(unk_token="<unk>"))
    base.pre_tokenizer = pre.Metaspace(prepend_scheme=scheme)
    byte_tokens = [f"<0x{b:02X}>" for b in range(256)]
    trained(base, specials + byte_tokens, sorted(set(CORPUS.replace(" ", SPACE)) - {"\n", "\t"}), merges)
    model = json.loads(base.to_str())["model"]
    whole = json.loads(Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True)).to_str())
    whole["model"].update(vocab=model["vocab"], merges=model["merges"])
    t = Tokenizer.from_str(json.dumps(whole))
    t.add_special_tokens([added(s) for s in specials])
    if normalizer: t.normalizer = normalizer
    if steps: t.pre_tokenizer = steps
    t.decoder = decoder
    if processor: t.post_processor = processor(t)
    return t


def starts_with(token):
    return lambda t: post.TemplateProcessing(single=f"{token} $A", pair=f"{token} $A {token}:1 $B:1",
                                             special_tokens=[(token, t.token_to_id(token))])


def styles():
    gpt2 = pre.ByteLevel(add_prefix_space=False)
    bare = pre.ByteLevel(add_prefix_space=False, use_regex=False)
    end = "<|endoftext|>"
    yield "gpt2", byte_level(gpt2, [end])
    yield "roberta", byte_level(pre.ByteLevel(add_prefix_space=True), ["<s>", "</s>", "<mask>"], processor=lambda t: post.RobertaProcessing(("</s>", 1), ("<s>", 0)))
    t = byte_level(gpt2, [end], no.NFC())
    t.add_tokens([added(" " * n, special=False, normalized=True) for n in (8, 4, 2)])
    yield "gpt_neox", t
    yield "smollm2", byte_level(pre.Sequence([pre.Digits(individual_digits=True), gpt2]), [end])
    t = byte_level(pre.Sequence([pre.Split(Regex(QWEN), "isolated"), bare]), [], no.NFC())
    t.add_special_tokens([added(end), added("<|im_start|>")])
    t.add_tokens([added("<tool_call>", special=False)])
    yield "qwen2", t
    t = byte_level(pre.Sequence([pre.Split(Regex(LLAMA3), "isolated"), bare]), [], ignore_merges=True)
    t.add_special_tokens([added("<|begin|>"), added("<|end|>")])
    t.post_processor = post.Sequence([post.ByteLevel(trim_offsets=False), starts_with("<|begin|>")(t)])
    yield "llama3", t
    prepend = no.Sequence([no.Prepend(SPACE), no.Replace(" ", SPACE)])
    text = [de.Replace(SPACE, " "), de.ByteFallback(), de.Fuse()]
    strip = de.Sequence(text + [de.Strip(" ", 1, 0)])
    yield "llama2", with_bytes(["<unk>", "<s>", "</s>"], prepend, None, strip, starts_with("<s>"))
    t = with_bytes(["<unk>", "<s>", "</s>"], prepend, None, strip)
    t.add_special_tokens([added("<|user|>", rstrip=True), added("<|end|>", lstrip=True, rstrip=True)])
    # Every way of matching: the last two only in normalised text, so at a start of a piece only.
    t.add_tokens([added("hen", special=False, single_word=True), added("rain", special=False, normalized=True), added("\u212b", special=False, normalized=True)])
    yield "phi3", t
    yield "gemma3", with_bytes(["<pad>", "<eos>", "<bos>", "<unk>"], no.Replace(" ", SPACE), pre.Split(" ", "merged_with_previous"), de.Sequence(text), starts_with("<bos>"))
    yield "metaspace", with_bytes(["<unk>", "<s>"], None, pre.Metaspace(prepend_scheme="first"), de.Metaspace(prepend_scheme="first"), starts_with("<s>"))
    folded = no.Sequence([no.NFD(), no.Lowercase(), no.Strip(left=False, right=True), no.Replace(Regex(r"\s+"), " "), no.NFC()])
    words = pre.Sequence([pre.Metaspace(prepend_scheme="never", split=False), pre.Digits(individual_digits=False), pre.Split(SPACE, "merged_with_previous")])
    t = with_bytes(["<unk>", "<s>"], folded, words, de.Metaspace(prepend_scheme="never"))
    t.add_tokens([added("THE Hen", special=False, normalized=True), added("Rain", special=False), added("C\u0327A", special=False, normalized=True, lstrip=True)])
    yield "lowercase", t
    # No byte tokens and few characters: unknown ones, not fused, with affixes, and every way of splitting.
    t = Tokenizer(models.BPE(vocab={v: i for i, v in enumerate(["?", "a", "b", "a@", "b@", "+a", "+b", "+a@", "+b@", "a+b", "ab", "ab@", "-", "-@", "+-", "+-@"])},
                             merges=[("a", "+b"), ("a", "+b@")], unk_token="?", continuing_subword_prefix="+", end_of_word_suffix="@"))
    t.pre_tokenizer = pre.Sequence([pre.Split("-", "merged_with_next"), pre.Split(Regex(r"[cd]+"), "contiguous"), pre.Split(Regex(r"\s"), "removed"), pre.Split(Regex("[ab]+e"), "isolated", invert=True)])
    yield "affixes", t


def cases(t):
    tokens = [v.content for v in t.get_added_tokens_decoder().values() if not v.content.startswith("<0x")]
    texts = list(TEXTS)
    for token in tokens[:8]:
        texts += [f"{token}{token} the {token}\n", f"x{token}y  {token}  z", token[:-1]]
    if t.get_vocab_size() < 30: texts = ["", "ab", "a b ab", "abb-ab--ba", "aabcdcab dd", "xyz a", "abe abbe-e", "--", "a-", "-a b"]
    for text in texts:
        ids = t.encode(text).ids
        plain = t.encode(text, add_special_tokens=False).ids
        yield [text, ids, plain, t.decode(ids), t.decode(ids, skip_special_tokens=False)]


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "golden")
    out.mkdir(parents=True, exist_ok=True)
    for name, tokenizer in styles():
        path = out / f"{name}.json"
        tokenizer.save(str(path), pretty=False)
        rows = cases(Tokenizer.from_file(str(path)))
        lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows]
        (out / f"{name}.cases.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
