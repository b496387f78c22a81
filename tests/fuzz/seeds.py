#!/usr/bin/env python3
"""What fuzzing starts from: small files of the tests, and crafted ones.

    seeds.py FOLDER      FOLDER/READER/NAME for each reader of tests/fuzz
"""
import io, json, pathlib, pickle, struct, sys, zipfile

TESTS = pathlib.Path(__file__).resolve().parents[1]


def safetensors(tensors, metadata=None):
    header, body = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(values)]}
        body += values
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def zeros(*shape):
    size = 4
    for n in shape: size *= n
    return "F32", list(shape), bytes(size)


def torch_file(pickled, data={"0": bytes(16)}):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("m/data.pkl", pickled)
        for key, values in data.items(): archive.writestr(f"m/data/{key}", values)
    return out.getvalue()


def one_tensor():
    """A state dict of one tensor as torch.save pickles it."""
    text = lambda value: b"X" + struct.pack("<I", len(value)) + value
    storage = b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu") + b"K\x04tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x02K\x02\x86K\x02K\x01\x86\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}(" + text(b"weight") + tensor + b"u."


def gguf(alpha=12.0):
    """Of the fuzzed adapter's modules three, the embedding among them."""
    text = lambda value: struct.pack("<Q", len(value)) + value.encode()
    words = {"general.type": "adapter", "adapter.type": "lora", "general.architecture": "llama"}
    meta = b"".join(text(key) + struct.pack("<I", 8) + text(word) for key, word in words.items()) + text("adapter.lora.alpha") + struct.pack("<If", 6, alpha)
    tensors, body = b"", b""
    for name, outs, ins in (("blk.0.attn_q", 4, 6), ("blk.1.ffn_up", 10, 6), ("token_embd", 6, 7)):
        a = (7, 2) if name == "token_embd" else (2, ins)
        for part, (rows, columns) in (("a", a), ("b", (outs, 2))):
            tensors += text(f"{name}.weight.lora_{part}") + struct.pack("<IQQIQ", 2, columns, rows, 0, len(body))
            body += struct.pack(f"<{rows * columns}f", *[0.25] * (rows * columns))
            body += bytes(-len(body) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, 6, len(words) + 1) + meta + tensors
    return head + bytes(-len(head) % 32) + body


LORA = {f"base_model.model.model.layers.{module}.{part}": zeros(*shape) for module, outs in (("0.self_attn.q_proj", 4), ("1.mlp.up_proj", 10))
        for part, shape in (("lora_A.weight", (2, 6)), ("lora_B.weight", (outs, 2)), ("lora_magnitude_vector", (outs,)))}
MLX = {f"model.layers.{module}.lora_{part}": ("F32", shape, struct.pack("<f", 0.25) * (shape[0] * shape[1]))
       for module, outs in (("0.self_attn.q_proj", 4), ("1.mlp.up_proj", 10)) for part, shape in (("a", [6, 2]), ("b", [2, outs]))}
MLX_CONFIG = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": {"rank": 2, "scale": 3.5, "dropout": 0.1, "keys": ["self_attn.q_proj"]}}
MANIFEST = {"format": 1, "program": "loragrad 0.1.0", "files": {"state.json": "$STATE", "optimizer.safetensors": "$OPTIMIZER"}}
EVAL = {"loss": 2.5, "supervised_tokens": 8, "tokens": 9, "rows": 2, "seconds": 0.5, "not_finite": ""}
STATE = {"format": 1, "step": 3, "position": 12, "updates": 3, "learning_steps": 3, "tokens": 90, "supervised_tokens": 80, "seconds": 1.5, "loss": 2.5,
         "evaluated": 2, "eval": EVAL, "best": {"step": 2, "loss": 2.5}, "evaluations_since_best": 0, "early_stopped": False,
         "run": {"options": {"lr": "0.001", "rank": "8"}, "data_options": {"seq-len": "64"}, "data": "0a", "eval_data": "0b", "base": "0c", "stops_early": True,
                 "device": "cpu", "steps": 9, "micro_batch": 2}}
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["q_proj", "up_proj"]}
CRAFTED = {
    "adapter": [safetensors(LORA), safetensors({k.replace("lora_A.", "lora_A.default."): v for k, v in LORA.items()})],
    "adapter_config": [CONFIG, CONFIG | {"target_modules": r".*\.(q|up)_proj$", "rank_pattern": {"q_proj": 4}, "alpha_pattern": {"^model.*up": 3.5}},
                       CONFIG | {"target_modules": "all-linear", "exclude_modules": ["up_proj"], "use_rslora": True, "init_lora_weights": "gaussian"},
                       CONFIG | {"layers_to_transform": [0], "layers_pattern": "layers", "bias": "lora_only", "modules_to_save": ["lm_head"], "use_dora": True}],
    "checkpoint_manifest": [MANIFEST, MANIFEST | {"files": MANIFEST["files"] | {"adapter_config.json": {"bytes": 0, "fnv1a": "cbf29ce484222325"}}}],
    "checkpoint_state": [STATE, STATE | {"loss": None, "eval": EVAL | {"loss": None, "not_finite": "row 2"}, "best": None}],
    "data_set": [b'{"text": "Ann saw."}\n', b'{"prompt": "a", "completion": "b"}\n', b'{"input_ids": [1, 2], "labels": [-100, 2], "attention_mask": [1, 1]}\n',
                 b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
                 b'{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}\n',
                 b'\xef\xbb\xbf{"instruction": "a", "input": "", "output": "b"}\r\n\r\n'],
    "flat_yaml": [b"rank: 8\nlr: 5e-4\ntarget: 'q_proj,v_proj'\nsample-prompt:\n  - a\n  - \"b\\u00eb\"\n", b"a: |\n  x\n  y\n--- \n", b"{a: [1, 2], b: ~}", b"? a\n: &x !!str b\n"],
    "gguf": [gguf()],
    "gguf_adapter": [gguf(), gguf(0.0), gguf(float("nan"))],
    "json": [b'{"a": [1, -1, 3.7e2, true, null, "\\ud83d\\ude00"], "b": {}}', b"[" * 50 + b"]" * 50, b"[NaN, Infinity, -0, 9223372036854775808]"],
    "mlx_adapter": [safetensors(MLX), safetensors(MLX | {"model.layers.1.mlp.up_proj.m": ("F32", [10], bytes(40))})],
    "mlx_config": [MLX_CONFIG, MLX_CONFIG | {"lora_parameters": {"rank": 2, "scale": 1e38}, "model": "base"}],
    "model_index": [{"metadata": {"total_size": 32}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}],
    "safetensors": [safetensors(LORA, {"format": "pt"}), safetensors({"a": ("BF16", [3], bytes(6)), "b": ("I64", [], bytes(8)), "c": ("F32", [0, 4], b"")})],
    "torch_file": [torch_file(one_tensor()), torch_file(pickle.dumps({"a": 1}, 2)), torch_file(b"\x80\x02c__builtin__\neval\n(X\x01\x00\x00\x001tR.")],
    "chat_template": [b"{% for m in messages %}{{ '<|' + m.role + '|>' + m['content'] | trim }}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
                      b"{%- macro f(x, y=1) -%}{{ x ~ y }}{%- endmacro %}{% set ns = namespace(n=0) %}{% set ns.n = ns.n + 1 %}{{ f(ns.n) }}{{ messages[1:] | tojson(indent=2) }}",
                      b"{% if messages[0].role == 'system' and not loop is defined %}{{ raise_exception('no') }}{% elif x is none %}{% else %}{{ strftime_now('%d %b %Y') }}{% endif %}"],
}
# Files of the tests' goldens, by reader.
FOUND = {"model_config": "models/golden/*/model/config.json", "tokenizer": "data/golden/*.json", "chat_template": "data/golden/jinja/*.jinja",
         "adapter_config": "models/golden/*/adapter/adapter_config.json"}
LARGEST = 1 << 16


def main(folder):
    for reader in sorted({*CRAFTED, *FOUND}):
        place = folder / reader
        place.mkdir(parents=True, exist_ok=True)
        files = [p.read_bytes() for p in sorted(TESTS.glob(FOUND[reader]))] if reader in FOUND else []
        crafted = [json.dumps(seed).encode() if isinstance(seed, dict) else seed for seed in CRAFTED.get(reader, [])]
        for number, content in enumerate([*crafted, *(f for f in files if len(f) <= LARGEST)]): (place / f"seed-{number}").write_bytes(content)


if __name__ == "__main__":
    if len(sys.argv) != 2: sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
