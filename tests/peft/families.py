"""The families: a tiny model of each, of random values, and what its modules are called."""
import dataclasses

import torch, transformers

VOCAB = 211
ROTARY = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=None)
OPT = dict(vocab_size=VOCAB, hidden_size=32, ffn_dim=44, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64, word_embed_proj_dim=32,
           bos_token_id=2, eos_token_id=2, pad_token_id=1)
GPT2 = dict(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0)
VISION = dict(hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
# Prompts are on both sides of its length.
LONGROPE = dict(original_max_position_embeddings=16, rope_scaling=dict(rope_type="longrope", short_factor=[1.0, 1.2, 1.5, 2.0], long_factor=[2.0, 3.0, 4.5, 9.0]))
NEOX = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64, rotary_pct=0.5,
            bos_token_id=1, eos_token_id=2, pad_token_id=None)


@dataclasses.dataclass
class Family:
    config: transformers.PretrainedConfig
    targets: tuple = ("q_proj", "up_proj")  # a part of the linear maps, of which exclude_modules then takes the second
    embedding: str = "embed_tokens"
    norm: str = "model.norm"  # the last
    biases: str = "none"  # of the linear maps: none, some or all
    parts: bool = False  # the text model is one of several: others have modules of the same names

    def model_class(self): return transformers.AutoModelForImageTextToText if self.parts else transformers.AutoModelForCausalLM

    def make(self, folder):
        """Writes the model's folder: matrices that keep the size of what they multiply, norms around 1, biases around 0."""
        generator = torch.Generator().manual_seed(3)
        noise = lambda shape, scale: torch.randn(shape, generator=generator) * scale
        model = self.model_class().from_config(self.config)
        offset = 0 if self.config.model_type.startswith("gemma") else 1  # Gemma's norms multiply by 1 + weight
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(noise(p.shape, 0.8 / p.shape[-1] ** 0.5) if p.dim() == 2 else noise(p.shape, 0.1) + (0 if "bias" in name else offset))
        model.tie_weights()
        model.save_pretrained(folder)


FAMILIES = {
    "opt": Family(transformers.OPTConfig(**OPT), ("q_proj", "fc1"), norm="final_layer_norm", biases="all"),
    "gpt2": Family(transformers.GPT2Config(**GPT2), ("c_attn", "c_fc"), "wte", "transformer.ln_f", "all"),
    "llama": Family(transformers.LlamaConfig(**ROTARY, tie_word_embeddings=False)),
    "mistral": Family(transformers.MistralConfig(**ROTARY, sliding_window=9)),
    "qwen2": Family(transformers.Qwen2Config(**ROTARY, tie_word_embeddings=True), biases="some"),
    "qwen3": Family(transformers.Qwen3Config(**ROTARY, head_dim=10, tie_word_embeddings=False)),
    "gemma": Family(transformers.GemmaConfig(**ROTARY, head_dim=10)),
    "gemma2": Family(transformers.Gemma2Config(**ROTARY, head_dim=10, query_pre_attn_scalar=12, sliding_window=9)),
    "gemma3_text": Family(transformers.Gemma3TextConfig(**ROTARY, head_dim=10, query_pre_attn_scalar=12, sliding_window=9,
                                                        layer_types=["sliding_attention", "full_attention"])),
    "phi3": Family(transformers.Phi3Config(**ROTARY), ("qkv_proj", "down_proj")),
    "phi3_longrope": Family(transformers.Phi3Config(**ROTARY, **LONGROPE), ("qkv_proj", "down_proj")),
    "gpt_neox": Family(transformers.GPTNeoXConfig(**NEOX), ("query_key_value", "dense_4h_to_h"), "embed_in", "gpt_neox.final_layer_norm", "all"),
    "granite": Family(transformers.GraniteConfig(**ROTARY, embedding_multiplier=2.0, attention_multiplier=0.3, residual_multiplier=0.6, logits_scaling=1.5,
                                                 tie_word_embeddings=True)),
    "olmo2": Family(transformers.Olmo2Config(**ROTARY)),
    "olmo3": Family(transformers.Olmo3Config(**ROTARY, sliding_window=9, layer_types=["sliding_attention", "full_attention"])),
    "smollm3": Family(transformers.SmolLM3Config(**ROTARY, no_rope_layers=[1, 0])),
    "gemma3": Family(transformers.Gemma3Config(text_config=dict(**ROTARY, head_dim=10, query_pre_attn_scalar=12, sliding_window=9,
                                                                layer_types=["sliding_attention", "full_attention"]), vision_config=VISION, mm_tokens_per_image=1),
                     norm="language_model.norm", parts=True),
    "llava": Family(transformers.LlavaConfig(text_config=dict(**ROTARY, model_type="llama"), vision_config=dict(VISION, model_type="clip_vision_model")),
                    norm="language_model.norm", parts=True),
}
