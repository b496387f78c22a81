#!/usr/bin/env python3
"""Writes a model folder of a real model's shape with random weights, and rows of random tokens: what speed and memory
depend on, without a download. Needs the reference environment (bench/requirements.txt).

    make_model.py SHAPE FOLDER [--dtype f32|bf16|f16] [--rows 16] [--length 256] [--device cpu|cuda]
"""
import argparse, json, pathlib, random

# transformers' configuration class, and what differs from its defaults. The base model's own dropout is off: it is no
# part of LoRA, and only one of two sides would apply it.
SHAPES = {
    "opt-125m": ("OPTConfig", dict(dropout=0.0, attention_dropout=0.0)),
    "smollm2-135m": ("LlamaConfig", dict(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=8192, rope_theta=1e5, tie_word_embeddings=True)),
    "tinyllama-1.1b": ("LlamaConfig", dict(
        vocab_size=32000, hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32,
        num_key_value_heads=4, max_position_embeddings=2048)),
    "gemma3-270m": ("Gemma3TextConfig", dict(
        vocab_size=262144, hidden_size=640, intermediate_size=2048, num_hidden_layers=18, num_attention_heads=4,
        num_key_value_heads=1, head_dim=256, query_pre_attn_scalar=256, sliding_window=512, max_position_embeddings=32768)),
    "llama-3.1-8b": ("LlamaConfig", dict(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, max_position_embeddings=131072, rope_theta=5e5)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--dtype", choices=["f32", "bf16", "f16"], default="f32")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=256, help="tokens of a row")
    parser.add_argument("--device", default="cpu", help="that draws the weights")
    args = parser.parse_args()

    import torch, transformers
    kind, changes = SHAPES[args.shape]
    config = getattr(transformers, kind)(**changes)
    torch.manual_seed(0)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[args.dtype]
    with torch.device(args.device):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.save_pretrained(args.folder)
    draw = random.Random(0)
    with open(args.folder / "rows.jsonl", "w") as file:
        for _ in range(args.rows):
            ids = [draw.randrange(config.vocab_size) for _ in range(args.length)]
            file.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")


if __name__ == "__main__":
    main()
