#!/usr/bin/env python3
"""What of a text each token stands for (docs/design/012-characters-of-tokens.md), by a model of the contract that is written
apart from the engine: it carries every character with the place it came from. Ids and tokens are the `tokenizers` library's.

    make_spans_golden.py [OUT_DIR]      (default: golden/spans next to this file; needs `pip install tokenizers`)

Writes OUT_DIR/STYLE.jsonl with rows [text, ids, [begin, end, begin, end, ...] in bytes] for the styles in golden/, and for two
more, whose tokenizer OUT_DIR/STYLE.json is. The library has offsets of its own, which must agree but for WHY; how often they
do not is printed. Its post-processors are left out: those of ByteLevel and RoBERTa trim white space from offsets.
"""
import collections
import json
import pathlib
import re
import sys
import unicodedata

from tokenizers import Regex, Tokenizer, normalizers as no, pre_tokenizers as pre, processors as post, decoders as de

import make_tokenizer_golden as styles

HERE = pathlib.Path(__file__).parent
WHY = {
    "swallowed": "white space that an added token takes (lstrip, rstrip) belongs to no token; the library counts it in",
    "moved": "marks put in canonical order keep their places, also those of a character taken apart; the library numbers them anew",
    "replaced": "what replaces several characters stands for the first of them; in the library for the last",
}
MARKED = ["cafe\u0301 \u1e9b\u0323", "q\u0307\u0323", "a\u0315\u0300\u05ae\u0323b", "\u1100\u1161\u11a8x", "\ufdfa!", "\ufb01n \u2460\u2461", "e\u0301e\u0301\u0323", "\u0344", "\u0958a", "  the   cat\t12 "]


# Characters as (character, place it came from).
def decomposed(chars, form):
    out = [(c, place) for char, place in chars for c in unicodedata.normalize(form, char)]
    at = 0
    while at < len(out):
        end = at
        while end < len(out) and unicodedata.combining(out[end][0]): end += 1
        out[at:end] = sorted(out[at:end], key=lambda pair: unicodedata.combining(pair[0]))
        at = end + 1
    return out


def composed(chars):
    """Unicode 3.11, D117: each character goes into the last starter before it, unless one between stops it."""
    out, starter = [], None
    for char, place in chars:
        kind = unicodedata.combining(char)
        if starter is not None:
            between = [unicodedata.combining(c) for c, _ in out[starter + 1:]]
            blocked = between and (kind == 0 or any(k == 0 or k >= kind for k in between))
            both = unicodedata.normalize("NFC", out[starter][0] + char)
            if not blocked and len(both) == 1:
                out[starter] = (both, out[starter][1])
                continue
        out.append((char, place))
        if kind == 0: starter = len(out) - 1
    return out


def replaced(chars, pattern, content):
    text = "".join(c for c, _ in chars)
    out, at = [], 0
    for match in re.finditer(pattern, text):
        out += chars[at:match.start()] + [(c, chars[match.start()][1]) for c in content]
        at = match.end()
    return out + chars[at:]


def before(chars, content):
    return [(c, chars[0][1]) for c in content] + chars if chars else chars


def steps_of(json_, members):
    if json_ is None: return []
    return [s for m in json_[members] for s in steps_of(m, members)] if json_["type"] == "Sequence" else [json_]


def pattern_of(json_):
    return re.escape(json_["String"]) if "String" in json_ else json_["Regex"]


def normalized(chars, file):
    for step in steps_of(file["normalizer"], "normalizers"):
        kind = step["type"]
        if kind.startswith("NF"):
            text = "".join(c for c, _ in chars)
            chars = decomposed(chars, kind.replace("C", "D"))
            if kind.endswith("C"): chars = composed(chars)
            assert "".join(c for c, _ in chars) == unicodedata.normalize(kind, text), text
        elif kind == "Lowercase": chars = [(c, place) for char, place in chars for c in char.lower()]
        elif kind == "Prepend": chars = before(chars, step["prepend"])
        elif kind == "Replace": chars = replaced(chars, pattern_of(step["pattern"]), step["content"])
        elif kind == "Strip":
            while chars and step["strip_left"] and chars[0][0].isspace(): chars = chars[1:]
            while chars and step["strip_right"] and chars[-1][0].isspace(): chars = chars[:-1]
        else: raise ValueError(kind)
    return chars


def spelled(file, chars, first):
    """The words' characters as the model's tokens spell them, one list."""
    words = [chars]
    for step in steps_of(file["pre_tokenizer"], "pretokenizers"):
        kind = step["type"]
        cut = lambda word, pattern, keep: [word[a:b] for a, b in bounds("".join(c for c, _ in word), pattern, keep)]
        if kind == "Split" and step["behavior"] == "Removed": words = [part for word in words for part in cut(word, pattern_of(step["pattern"]), False)]
        if kind == "Digits": words = [part for word in words for part in cut(word, r"\d", True)]
        if kind == "Metaspace":
            mark = step["replacement"]
            words = [[(mark if c == " " else c, p) for c, p in word] for word in words]
            if step["prepend_scheme"] == "always" or step["prepend_scheme"] == "first" and first:
                words = [word if not word or word[0][0] == mark else before(word, mark) for word in words]
        if kind == "ByteLevel":
            if step["add_prefix_space"]: words = [word if not word or word[0][0] == " " else before(word, " ") for word in words]
            words = [[(BYTES[b], place) for c, place in word for b in c.encode()] for word in words]
    return [pair for word in words for pair in word]


def bounds(text, pattern, keep):
    at, out = 0, []
    for match in re.finditer(pattern, text):
        out += [(at, match.start())] + ([match.span()] if keep else [])
        at = match.end()
    return [(a, b) for a, b in out + [(at, len(text))] if a < b]


def byte_alphabet():
    itself = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [b for b in range(256) if b not in itself]
    return {b: chr(b) for b in itself} | {b: chr(0x100 + i) for i, b in enumerate(others)}


BYTES = byte_alphabet()


def walked(chars, tokens):
    """[first, end) of each of `tokens`, which spell `chars` one after the other; byte tokens stand for their character."""
    out, at, pending = [], 0, []
    for token in tokens:
        size = len(token)
        if "".join(c for c, _ in chars[at:at + size]) != token:
            pending, size = pending or list(chars[at][0].encode()), 1
            assert token == f"<0x{pending.pop(0):02X}>", (token, chars[at])
        places = [place for _, place in chars[at:at + size]]
        out.append((min(places), max(places) + 1))
        if not pending: at += size
    assert at == len(chars) and not pending, chars
    return out


def spans(tokenizer, file, text):
    """The library's encoding, and [first, end) of each token in characters of `text`."""
    found = tokenizer.encode(text, add_special_tokens=False)
    added = {t["id"]: t for t in file["added_tokens"]}
    taken, end, out, at = [], 0, [], 0
    # Tokens of the text as it came; between them the text is normalised, and those of the normalised text are sought.
    for i, id_ in [*enumerate(found.ids), (len(found.ids), None)]:
        token = added.get(id_)
        if id_ is not None and (token is None or token["normalized"]):
            taken.append(i)
            continue
        begin, stop = found.offsets[i] if token else (len(text), len(text))
        chars = normalized([(c, p) for p, c in enumerate(text)][end:begin], file)
        first, here = end == 0, []
        for j in taken + [None]:
            token_ = None if j is None else added.get(found.ids[j])
            if j is not None and token_ is None:
                here.append(found.tokens[j])
                continue
            content = [c for c, _ in normalized([(c, 0) for c in token_["content"]], file)] if token_ else []
            where = "".join(c for c, _ in chars).index("".join(content)) if token_ else len(chars)
            rest = where
            while token_ and token_["lstrip"] and rest and chars[rest - 1][0].isspace(): rest -= 1
            out += walked(spelled(file, chars[:rest], first), here)
            if token_: out.append((min(p for _, p in chars[where:where + len(content)]), max(p for _, p in chars[where:where + len(content)]) + 1))
            chars, first, here = chars[where + len(content):], False, []
        if token:
            while token["lstrip"] and text[begin].isspace(): begin += 1
            end = stop
            while token["rstrip"] and text[stop - 1].isspace(): stop -= 1
            out.append((begin, stop))
        taken = []
    return found, out


def more_styles():
    strip = de.Sequence([de.Replace(styles.SPACE, " "), de.ByteFallback(), de.Fuse()])
    steps = no.Sequence([no.NFKD(), no.Strip(True, True), no.Replace(Regex(" +"), styles.SPACE), no.Prepend(styles.SPACE)])
    t = styles.with_bytes(["<unk>", "<s>", "</s>"], steps, None, strip, merges=12)
    t.add_special_tokens([styles.added("<|end|>", lstrip=True, rstrip=True)])
    t.add_tokens([styles.added("\u00e9", special=False, normalized=True)])
    yield "nfkd", t
    words = pre.Sequence([pre.Split(Regex(r"\s+"), "removed"), pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=True, use_regex=False)])
    t = styles.byte_level(words, ["<s>", "</s>"], no.NFKC(), processor=lambda t: post.RobertaProcessing(("</s>", 1), ("<s>", 0)))
    yield "nfkc", t


def reason(text, added, ours, theirs):
    """Which of WHY lets the library's span of a token differ from ours."""
    marks = [unicodedata.combining(c) for c, _ in decomposed([(c, 0) for c in text[min(ours[0], theirs[0]):max(ours[1], theirs[1])]], "NFKD")]
    if added and theirs[0] <= ours[0] and ours[1] <= theirs[1] and text[slice(*ours)] == text[slice(*theirs)].strip(): return "swallowed"
    if any(marks): return "moved"
    if ours[0] < theirs[0] and text[ours[0]:theirs[1]].isspace(): return "replaced"
    raise AssertionError((text, ours, theirs))


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "golden" / "spans"
    out.mkdir(parents=True, exist_ok=True)
    files = {p.stem: p for p in (HERE / "golden").glob("*.json") if p.stem != "affixes"}
    for name, tokenizer in more_styles():
        files[name] = out / f"{name}.json"
        tokenizer.save(str(files[name]), pretty=False)
    for name, path in sorted(files.items()):
        file = json.loads(path.read_text())
        tokenizer = Tokenizer.from_str(json.dumps(file | {"post_processor": None}))
        texts = list(dict.fromkeys([row[0] for row in styles.cases(tokenizer)] + MARKED))
        lines, differences, tokens = [], collections.Counter(), 0
        for text in texts:
            found, ours = spans(tokenizer, file, text)
            tokens += len(ours)
            added = [id_ in {t["id"] for t in file["added_tokens"]} for id_ in found.ids]
            differences.update(reason(text, *three) for three in zip(added, ours, found.offsets) if three[1] != three[2])
            size = lambda at: len(text[:at].encode())
            lines.append(json.dumps([text, found.ids, [size(at) for span in ours for at in span]], ensure_ascii=False, separators=(",", ":")) + "\n")
        (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{name}: {tokens} tokens, the library's offsets differ in {sum(differences.values())}: {dict(differences)}")


if __name__ == "__main__":
    main()
