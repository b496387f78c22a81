#!/usr/bin/env python3
"""What transformers and PEFT compute for tiny random models, in float64: the goldens that tests/models and tests/cli read.

    make_golden.py [OUT [CASE ...]]     (default: golden/ beside this file, all; needs torch, transformers, peft, safetensors)

A case is a folder: model/ (float32), adapter/ (a PEFT adapter with B != 0), adapter_trained/ (after STEPS AdamW steps),
rows.jsonl, golden.safetensors (base_logits, adapted_logits, merged_logits [rows, longest, vocab], zero-padded;
grad.* of the first batch's mean loss) and golden.json (losses, hyper-parameters, versions).
Ranks and alphas are never equal, sizes are odd where the architecture allows it, one case has an untied head.
"""
import json, pathlib, sys
import peft, torch, transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

STEPS, BATCH, LR, DECAY = 12, 2, 3e-3, 0.02
VOCAB = 53
LLAMA = dict(vocab_size=VOCAB, hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=40, bos_token_id=1, eos_token_id=2, pad_token_id=None)
OPT = dict(vocab_size=VOCAB, hidden_size=20, ffn_dim=28, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=40,
           bos_token_id=2, eos_token_id=2, pad_token_id=1)
NEOX = dict(vocab_size=VOCAB, hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=40,
            bos_token_id=1, eos_token_id=2, pad_token_id=None)
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=12)
VISION = dict(hidden_size=6, intermediate_size=5, num_hidden_layers=1, num_attention_heads=1, image_size=4, patch_size=2, num_channels=1)
CASES = {
    "opt": (transformers.OPTConfig(**OPT, word_embed_proj_dim=20), dict(target_modules=["q_proj", "v_proj"])),
    "opt-350m": (transformers.OPTConfig(**OPT, word_embed_proj_dim=12, do_layer_norm_before=False), dict(target_modules="all-linear")),
    "gpt2": (transformers.GPT2Config(vocab_size=VOCAB, n_embd=20, n_layer=2, n_head=4, n_positions=40, bos_token_id=0, eos_token_id=0),
             dict(target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)),
    # No c_attn: attention does not depend on a key's bias, so Adam would follow rounding there.
    "gpt2-lorabias": (transformers.GPT2Config(vocab_size=VOCAB, n_embd=12, n_layer=1, n_head=2, n_positions=40, bos_token_id=0, eos_token_id=0),
                      dict(target_modules=["c_fc", "c_proj"], fan_in_fan_out=True, lora_bias=True)),
    "gpt2-dora": (transformers.GPT2Config(vocab_size=VOCAB, n_embd=12, n_layer=1, n_head=2, n_positions=40, bos_token_id=0, eos_token_id=0),
                  dict(target_modules=["c_attn", "c_fc", "c_proj"], fan_in_fan_out=True, use_dora=True)),
    # Parameters of the base that are trained beside the adapter: every bias, those of adapted maps, modules.
    "opt-bias": (transformers.OPTConfig(**{**OPT, "num_hidden_layers": 1}, word_embed_proj_dim=20), dict(target_modules=["v_proj", "fc1"], bias="all")),
    "gpt2-bias": (transformers.GPT2Config(vocab_size=VOCAB, n_embd=12, n_layer=1, n_head=2, n_positions=40, bos_token_id=0, eos_token_id=0),
                  dict(target_modules=["c_attn", "c_fc"], fan_in_fan_out=True, bias="lora_only")),
    "llama-saved": (transformers.LlamaConfig(**{**LLAMA, "num_hidden_layers": 1}, tie_word_embeddings=False),
                    dict(target_modules=["q_proj", "down_proj"], modules_to_save=["lm_head", "embed_tokens", "layernorm", "o_proj"])),
    "gemma-savedhead": (transformers.GemmaConfig(**{**LLAMA, "num_hidden_layers": 1}, head_dim=10), dict(target_modules=["v_proj"], modules_to_save=["lm_head", "norm"])),
    "qwen2-savedembedding": (transformers.Qwen2Config(**{**LLAMA, "num_hidden_layers": 1}, tie_word_embeddings=True),
                             dict(target_modules=["up_proj"], modules_to_save=["embed_tokens"])),
    "llama": (transformers.LlamaConfig(**LLAMA, tie_word_embeddings=False), dict(target_modules="all-linear")),
    "llama3": (transformers.LlamaConfig(**{**LLAMA, "num_key_value_heads": 1}, tie_word_embeddings=True, rope_theta=5000.0,
                                        rope_scaling=LLAMA3, attention_bias=True, mlp_bias=True),
               dict(target_modules=["q_proj", "k_proj", "down_proj"], use_rslora=True)),
    "llama-dynamic": (transformers.LlamaConfig(**{**LLAMA, "num_hidden_layers": 1, "max_position_embeddings": 10}, rope_scaling=dict(rope_type="dynamic", factor=2.0)),
                      dict(target_modules=["q_proj", "k_proj", "o_proj"])),
    "llama-yarn": (transformers.LlamaConfig(**{**LLAMA, "num_hidden_layers": 1}, head_dim=10, rope_theta=50.0,
                                            rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=10, beta_fast=3.0, mscale=0.9, mscale_all_dim=0.3, truncate=False)),
                   dict(target_modules=["q_proj", "k_proj", "gate_proj"])),
    "mistral": (transformers.MistralConfig(**LLAMA, head_dim=8, sliding_window=5), dict(target_modules=["q_proj", "v_proj", "up_proj"])),
    "qwen2": (transformers.Qwen2Config(**LLAMA, tie_word_embeddings=True, use_sliding_window=True, sliding_window=5, max_window_layers=1),
              dict(target_modules=["q_proj", "v_proj"])),
    "qwen3": (transformers.Qwen3Config(**LLAMA, head_dim=10, attention_bias=True, use_sliding_window=True, sliding_window=4,
                                       layer_types=["sliding_attention", "full_attention"]), dict(target_modules="all-linear")),
    "gpt_neox": (transformers.GPTNeoXConfig(**NEOX, rotary_pct=0.5), dict(target_modules="all-linear")),
    "gpt_neox-sequential": (transformers.GPTNeoXConfig(**{**NEOX, "num_hidden_layers": 1}, rotary_pct=0.7, use_parallel_residual=False, attention_bias=False),
                            dict(target_modules=["query_key_value"])),
    "granite": (transformers.GraniteConfig(**LLAMA, attention_bias=True, mlp_bias=True, embedding_multiplier=3.0, attention_multiplier=0.3, residual_multiplier=0.4,
                                           logits_scaling=2.5, tie_word_embeddings=True), dict(target_modules=["q_proj", "v_proj", "down_proj"])),
    "olmo3": (transformers.Olmo3Config(**LLAMA, sliding_window=5, layer_types=["sliding_attention", "full_attention"],
                                       rope_parameters=dict(full_attention=dict(rope_type="yarn", rope_theta=50.0, factor=4.0, original_max_position_embeddings=10, beta_fast=3.0),
                                                            sliding_attention=dict(rope_type="default", rope_theta=700.0))), dict(target_modules=["q_proj", "k_proj", "gate_proj"])),
    "smollm3": (transformers.SmolLM3Config(**LLAMA, no_rope_layers=[1, 0], use_sliding_window=True, sliding_window=5, attention_bias=True),
                dict(target_modules=["k_proj", "v_proj", "up_proj"])),
    "olmo2": (transformers.Olmo2Config(**LLAMA, attention_bias=True), dict(target_modules="all-linear")),
    "gemma": (transformers.GemmaConfig(**LLAMA, head_dim=10, attention_bias=True), dict(target_modules=["q_proj", "v_proj", "down_proj"])),
    "gemma2": (transformers.Gemma2Config(**LLAMA, head_dim=10, query_pre_attn_scalar=12, attn_logit_softcapping=1.5, final_logit_softcapping=2.5,
                                         sliding_window=5, attention_bias=True), dict(target_modules="all-linear")),
    "gemma3": (transformers.Gemma3TextConfig(**{**LLAMA, "num_hidden_layers": 3}, head_dim=10, query_pre_attn_scalar=12, sliding_window=5,
                                             layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                             rope_parameters=dict(full_attention=dict(rope_type="linear", factor=2.0, rope_theta=5000.0),
                                                                  sliding_attention=dict(rope_type="default", rope_theta=100.0))),
               dict(target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "up_proj"])),
    # Tied and scaled; then tied, of another orientation; with lengths.
    "gemma3-embedding": (transformers.Gemma3TextConfig(**{**LLAMA, "num_hidden_layers": 1}, head_dim=10, query_pre_attn_scalar=12, layer_types=["full_attention"]),
                         dict(target_modules=["embed_tokens", "q_proj"], rank_pattern={"embed_tokens": 2}, use_rslora=True)),
    "gpt2-embedding": (transformers.GPT2Config(vocab_size=VOCAB, n_embd=12, n_layer=1, n_head=2, n_positions=40, bos_token_id=0, eos_token_id=0),
                       dict(target_modules=["wte", "c_fc"], fan_in_fan_out=True)),
    "llama-embedding-dora": (transformers.LlamaConfig(**{**LLAMA, "num_hidden_layers": 1}), dict(target_modules=["embed_tokens", "v_proj"], use_dora=True)),
    # Tied, of another orientation; capped; scaled, and of its own.
    "gpt2-head": (transformers.GPT2Config(vocab_size=VOCAB, n_embd=12, n_layer=1, n_head=2, n_positions=40, bos_token_id=0, eos_token_id=0),
                  dict(target_modules=["lm_head", "c_attn"], fan_in_fan_out=True)),
    "gemma2-head": (transformers.Gemma2Config(**{**LLAMA, "num_hidden_layers": 1}, head_dim=10, query_pre_attn_scalar=12, final_logit_softcapping=2.5),
                    dict(target_modules=["lm_head", "v_proj"], rank_pattern={"lm_head": 5})),
    "granite-head": (transformers.GraniteConfig(**{**LLAMA, "num_hidden_layers": 1}, logits_scaling=2.5, tie_word_embeddings=False),
                     dict(target_modules=["lm_head"], use_rslora=True)),
    "llama-tokens-tied": (transformers.LlamaConfig(**{**LLAMA, "num_hidden_layers": 1}, tie_word_embeddings=True),
                          dict(target_modules=["q_proj"], trainable_token_indices={"lm_head": [11, 3, 40], "embed_tokens": [11, 3, 40]})),
    "opt-tokens": (transformers.OPTConfig(**{**OPT, "num_hidden_layers": 1}, word_embed_proj_dim=12, do_layer_norm_before=False, tie_word_embeddings=False),
                   dict(target_modules=["v_proj"], trainable_token_indices={"embed_tokens": [7, 52], "lm_head": [20]})),
    "gemma2-tokens": (transformers.Gemma2Config(**{**LLAMA, "num_hidden_layers": 1}, head_dim=10, query_pre_attn_scalar=12, final_logit_softcapping=2.5),
                      dict(target_modules=["k_proj"], trainable_token_indices=[5, 50, 9, 4, 31])),
    "phi3": (transformers.Phi3Config(**LLAMA, sliding_window=6), dict(target_modules=["qkv_proj", "gate_up_proj"])),
    # Rows of 13 and 18 tokens are long ones, the others short, the two of the first batch are one of each.
    "phi3-longrope": (transformers.Phi3Config(**{**LLAMA, "num_hidden_layers": 1}, original_max_position_embeddings=12, partial_rotary_factor=0.7,
                                              rope_scaling=dict(rope_type="longrope", short_factor=[1.0, 1.5], long_factor=[4.0, 9.0])), dict(target_modules=["qkv_proj", "o_proj"])),
    # Models that read images too, whose text models are of families here. PEFT's q_proj is a module of the images' part as well.
    "gemma3-images": (transformers.Gemma3Config(text_config=dict(**{**LLAMA, "num_hidden_layers": 2}, head_dim=10, query_pre_attn_scalar=12, sliding_window=5,
                                                                 layer_types=["sliding_attention", "full_attention"]), vision_config=VISION, mm_tokens_per_image=1),
                      dict(target_modules=["q_proj", "v_proj", "down_proj"])),
    "llava": (transformers.LlavaConfig(text_config=dict(**{**LLAMA, "num_hidden_layers": 1}, model_type="llama"), vision_config=dict(VISION, model_type="clip_vision_model")),
              dict(target_modules=r"model\.language_model\..*\.(k_proj|o_proj|up_proj)", rank_pattern={r"model\.language_model\.layers\.0\.self_attn\.k_proj": 2})),
}


def make_rows(generator):
    rows = []
    for i, length in enumerate([7, 13, 1, 11, 18]):
        ids = torch.randint(3, VOCAB, (length,), generator=generator).tolist()
        prompt = 0 if i % 2 == 0 else length // 3
        rows.append({"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]})
    return rows


def logits(model, rows):
    longest = max(len(row["input_ids"]) for row in rows)
    out = torch.zeros(len(rows), longest, VOCAB)
    with torch.no_grad():
        for i, row in enumerate(rows):
            out[i, :len(row["input_ids"])] = model(input_ids=torch.tensor([row["input_ids"]])).logits[0]
    return out


def mean_loss(model, rows):
    losses = []
    for row in rows:
        labels = torch.tensor(row["labels"])[1:]
        z = model(input_ids=torch.tensor([row["input_ids"]])).logits[0, :-1][labels != -100]
        losses.append(torch.logsumexp(z, -1) - z.gather(1, labels[labels != -100][:, None])[:, 0])
    return torch.cat(losses).mean()


def greedy(model, prompt):
    """With the cache, which Phi-3 computes anew where a row becomes a long one."""
    with torch.no_grad(): ids = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=10, do_sample=False, eos_token_id=None)[0].tolist()
    return dict(prompt=prompt, ids=ids[len(prompt):])


def class_of(config):
    known = type(config) in transformers.AutoModelForCausalLM._model_mapping
    return transformers.AutoModelForCausalLM if known else transformers.AutoModelForImageTextToText


def make_case(folder, config, lora):
    generator = torch.Generator().manual_seed(11)
    noise = lambda shape, scale: torch.randn(shape, generator=generator) * scale
    torch.manual_seed(11)
    model = class_of(config).from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(noise(p.shape, 0.9 / p.shape[-1] ** 0.5) if p.dim() == 2 else noise(p.shape, 0.15) + (0 if "bias" in name else 1))
    model.tie_weights()
    model.save_pretrained(folder / "model")
    rows = make_rows(generator)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    model = class_of(config).from_pretrained(folder / "model", dtype=torch.float64, attn_implementation="eager").eval()
    tensors = {"base_logits": logits(model, rows)}
    facts = {"base_loss": mean_loss(model, rows).item()}
    adapted = get_peft_model(model, LoraConfig(r=3, lora_alpha=8, lora_dropout=0.0, task_type="CAUSAL_LM", **lora)).eval()
    with torch.no_grad():
        for name, p in adapted.named_parameters():
            if p.requires_grad: p.data = noise(p.shape, 0.25).double() + (0 if "lora_" in name else p)
    save_adapter(adapted, folder / "adapter")
    tensors["adapted_logits"] = logits(adapted, rows)
    facts["adapted_loss"] = mean_loss(adapted, rows).item()

    if "longrope" in str(config): facts["greedy"] = [greedy(adapted, row["input_ids"][:length]) for row, length in zip(rows, (7, 12, 1, 11, 13))]

    adapted_names = [(n, p) for n, p in adapted.named_parameters() if p.requires_grad]
    trained = [p for _, p in adapted_names]
    mean_loss(adapted, rows[:BATCH]).backward()
    tensors |= {"grad." + n.replace(".default", ""): p.grad.float() for n, p in adapted.named_parameters() if p.grad is not None}
    optimiser = torch.optim.AdamW(trained, lr=LR, weight_decay=DECAY)
    losses = []
    for step in range(STEPS):
        optimiser.zero_grad()
        loss = mean_loss(adapted, [rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    save_adapter(adapted, folder / "adapter_trained")
    # PEFT merges an adapted embedding, or head, into both where they are tied.
    corrupt = config.tie_word_embeddings and any("lora_embedding_A" in n or "lm_head.lora_A" in n for n, _ in adapted.named_parameters())
    tensors["merged_logits"] = logits(adapted if corrupt else adapted.merge_and_unload(), rows)
    save_file(tensors, folder / "golden.safetensors")
    facts |= dict(loss_before_each_step=losses, steps=STEPS, batch_size=BATCH, lr=LR, weight_decay=DECAY, trainable=sum(p.numel() for n, p in adapted_names if "vision_tower" not in n),
                  versions=dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__))
    (folder / "golden.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(folder.name, facts["base_loss"], facts["adapted_loss"], losses[-1])


def save_adapter(model, folder):
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "model"  # no path of the machine this ran on
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    path = folder / "adapter_model.safetensors"
    save_file({k: v.float().contiguous() for k, v in load_file(path).items()}, path, metadata={"format": "pt"})


if __name__ == "__main__":
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "golden"
    torch.set_num_threads(1)
    for case in sys.argv[2:] or CASES: make_case(out / case, *CASES[case])
