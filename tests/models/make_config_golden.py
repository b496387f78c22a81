#!/usr/bin/env python3
"""What transformers makes of config.json: every key that decides, as a value, as null and absent, in both dialects.

    make_config_golden.py [FAMILY ...]      (needs torch and transformers)

It writes golden/config.json beside this file: the keys of these families anew (default: of all, and the losses).

"keys": per family a base configuration, what the model computes by it, and cases: "set" and "drop" change the
configuration; "computes" has what differs from the base's then, "error" says that transformers fails. "unsupported": it
computes what loragrad refuses. Taken from the model that is built, not from the configuration.
"losses": a model of golden/ with changes of its configuration and tensors ("rename" old to new, "remove", "copy" old to
new, "swap" two elements of a tensor), and the mean loss over its rows.jsonl in float64, or "error".
"""
import copy, json, pathlib, re, sys, tempfile
import torch, transformers
from safetensors.torch import load_file, save_file
from make_golden import mean_loss

GOLDEN = pathlib.Path(__file__).parent / "golden"
LLAMA3 = dict(factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=12)
LONGROPE = dict(rope_type="longrope", short_factor=[1.0, 1.5, 2], long_factor=[2.0, 3.0, 4.5], original_max_position_embeddings=12)


def alternatives(values):
    """Each key as another value, as null, and absent."""
    cases = []
    for key, value in values.items(): cases += [dict(set={key: value}), dict(set={key: None}), dict(drop=[key])]
    return cases


def several(key, *values): return [dict(set={key: value}) for value in values]


COMMON = several("is_causal", True, False, None) + several("quantization_config", {"quant_method": "x"}, None) + several("dtype", "bfloat16", None) + \
    several("per_layer_config", {"0": {"intermediate_size": 20}}, None) + several("configuration_files", ["config.4.0.0.json"]) + \
    several("torch_dtype", "bfloat16", None) + several("sliding_window", 3, None) + several("attention_chunk_size", 3, None)
LLAMA_ROPE = [dict(set=dict(rope_theta=7.0), drop=["rope_parameters"]), dict(set=dict(rope_theta=None), drop=["rope_parameters"]),
              dict(set=dict(rope_theta=7.0)), dict(set=dict(rope_theta=None)), dict(set=dict(rope_theta="7"), drop=["rope_parameters"]),
              dict(drop=["rope_parameters"])]
for parameters in (None, {}, dict(rope_type="default"), dict(rope_theta=50.0), dict(rope_theta=50.0, rope_type=None), dict(rope_theta=None, rope_type="default"),
                   dict(rope_type="linear", factor=3, rope_theta=50.0), dict(rope_type="llama3", **LLAMA3, original_max_position_embeddings=12, rope_theta=50.0),
                   dict(YARN, rope_theta=50.0)):
    for scaling in ("absent", None, {}, dict(type="linear", factor=2), dict(rope_type="linear", factor=2.0, rope_theta=90.0), dict(type="default")):
        for theta in ("absent", 7.0):
            case = dict(rope_parameters=parameters)
            if scaling != "absent": case["rope_scaling"] = scaling
            if theta != "absent": case["rope_theta"] = theta
            LLAMA_ROPE.append(dict(set=case))
for change in (*alternatives(dict(attention_factor=0.9, beta_fast=3.0, beta_slow=0.5, mscale=0.7, mscale_all_dim=0.4, truncate=False, factor=2, original_max_position_embeddings=5)),
               *several("factor", "4", 0.5), *several("original_max_position_embeddings", 12.5, 40), *several("beta_fast", 0, "3"), *several("attention_factor", 1),
               *several("partial_rotary_factor", 0.5, 1), *several("rope_theta", 1.0, 2.0), dict(set=dict(beta_fast=1, beta_slow=1)), dict(set=dict(mscale=0.7), drop=["mscale_all_dim"])):
    yarn = {**YARN, "mscale": 0.5, "mscale_all_dim": 1.5, **change.get("set", {})}
    LLAMA_ROPE.append(dict(set=dict(rope_scaling={key: value for key, value in yarn.items() if key not in change.get("drop", [])})))
LLAMA_ROPE += [dict(set=dict(rope_scaling=YARN, original_max_position_embeddings=top)) for top in (9, None)] + [dict(set=dict(rope_scaling=YARN, head_dim=2))]
LLAMA_ROPE += [dict(set=dict(rope_scaling=dict(type="dynamic", **own))) for own in ({}, dict(factor=None), dict(factor="2"), dict(factor=1.5, rope_theta=50.0), dict(factor=2, partial_rotary_factor=0.5))] + \
    [dict(set=dict(rope_scaling=dict(type="dynamic", factor=2.0), head_dim=2))]
for scaling in (dict(type="llama3", rope_type="linear", factor=2.0), dict(type="linear", rope_type="default", factor=2.0), dict(type="linear", rope_type=None, factor=2.0),
                dict(type=None, factor=2.0), dict(factor=2.0), dict(type="linear"), dict(type="linear", factor=None), dict(type="linear", factor="2"),
                dict(type="linear", factor=2.0, rope_theta=None), dict(type="linear", factor=2.0, partial_rotary_factor=1.0),
                dict(type="linear", factor=2.0, partial_rotary_factor=0.5), dict(type="linear", factor=2.0, partial_rotary_factor=None),
                dict(type="default", partial_rotary_factor=0.5), dict(type="default", partial_rotary_factor=None), dict(type="linear", factor=2.0, unknown=1),
                dict(type="llama3", **LLAMA3), dict(rope_type="llama3", **LLAMA3, original_max_position_embeddings=None),
                dict(rope_type="llama3", **LLAMA3, original_max_position_embeddings=12), dict(rope_type="llama3", **LLAMA3, original_max_position_embeddings=12.5),
                *({k: v for k, v in dict(rope_type="llama3", **LLAMA3).items() if k != gone} for gone in LLAMA3),
                dict(rope_type="llama3", **{**LLAMA3, "factor": 4, "low_freq_factor": 1, "high_freq_factor": 4}),
                dict(rope_type="unheard"), YARN, dict(type="dynamic", factor=2.0), LONGROPE,
                dict(rope_type="proportional"), "linear", ["linear"]):
    LLAMA_ROPE.append(dict(set=dict(rope_scaling=scaling)))
LLAMA_ROPE += [dict(set=dict(rope_scaling=dict(rope_type="llama3", **LLAMA3, **nested), original_max_position_embeddings=top))
               for nested in ({}, dict(original_max_position_embeddings=12)) for top in (9, None)]
LONGROPES = []
for change in (*alternatives(dict(attention_factor=0.9, factor=3.0, original_max_position_embeddings=5, short_factor=[3, 2, 1], long_factor=[2, 3.5, 1.0])),
               *several("factor", 0.5, 2, "3"), *several("original_max_position_embeddings", 40, 50), *several("short_factor", [1.0, 2.0], [1.0] * 4, ["1", 1.0, 1.0], 1.0),
               *several("long_factor", [1.0] * 2, []), *several("attention_factor", 2, "1"), *several("partial_rotary_factor", 1, 0.5), *several("rope_theta", 50.0)):
    scaling = {**LONGROPE, **change.get("set", {})}
    LONGROPES.append(dict(set=dict(rope_scaling={key: value for key, value in scaling.items() if key not in change.get("drop", [])})))
LONGROPES += [dict(set=dict(rope_scaling=LONGROPE, original_max_position_embeddings=top)) for top in (9, 60, None)] + \
    [dict(set=dict(rope_scaling=dict(LONGROPE, factor=2.0, original_max_position_embeddings=1)))]
LLAMA_ROPE += LONGROPES + several("original_max_position_embeddings", 9, None) + several("partial_rotary_factor", 0.5, 1.0, None)
LLAMA_ROPE += [dict(set=dict(partial_rotary_factor=top, rope_scaling=dict(type="linear", factor=2.0, **nested)))
               for nested in ({}, dict(partial_rotary_factor=1.0)) for top in (0.5, None)]

NESTED = dict(full_attention=dict(rope_type="default", rope_theta=50.0))
LLAMA_ROPE += several("layer_types", ["full_attention"] * 2, None) + several("rope_parameters", NESTED) + several("rope_scaling", NESTED) + \
    [dict(set={"layer_types": ["full_attention"] * 2, key: NESTED}) for key in ("rope_parameters", "rope_scaling")]

# Phi-3 has original_max_position_embeddings at the top level alone, 4096 where it is absent.
PHI3_ROPES = [dict(set=case["set"] | dict(original_max_position_embeddings=11)) for case in LONGROPES[:-4]] + LONGROPES[-4:] + \
    [dict(set=dict(rope_scaling=dict(LONGROPE, **own), original_max_position_embeddings=11, **top))
     for own in ({}, dict(partial_rotary_factor=0.7, short_factor=[1.5, 2.0], long_factor=[3.0, 4.0]), dict(short_factor=[1.5], long_factor=[3.0]))
     for top in ({}, dict(partial_rotary_factor=0.7), dict(partial_rotary_factor=0.5), dict(rope_theta=7.0), dict(max_position_embeddings=9))] + \
    [dict(set=dict(rope_scaling={key: value for key, value in dict(LONGROPE, type=kind, **own).items() if key != "rope_type"}, original_max_position_embeddings=top))
     for kind in ("longrope", "su", "yarn", "linear", "default") for own in ({}, dict(factor=2.0)) for top in (11, 40)] + \
    [dict(set=dict(rope_scaling=dict(LONGROPE, rope_type=kind), original_max_position_embeddings=11)) for kind in ("su", "yarn", "llama3", None)] + \
    [dict(set=dict(rope_parameters=dict(LONGROPE, rope_theta=50.0), original_max_position_embeddings=11)), dict(set=dict(rope_parameters=LONGROPE), drop=["rope_scaling"]),
     dict(set=dict(rope_scaling=YARN))]

LLAMAS = ("llama", "mistral", "qwen2", "qwen3", "olmo2", "gemma", "gemma2", "gemma3_text", "olmo3", "granite", "smollm3")  # of one layout
SMALL = dict(vocab_size=53, hidden_size=24, intermediate_size=36, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=40, rms_norm_eps=1e-4,
             hidden_act="silu", tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=5000.0))
SMALL_CASES = alternatives(dict(vocab_size=54, hidden_size=32, intermediate_size=35, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8, max_position_embeddings=41,
                                rms_norm_eps=1e-3, hidden_act="gelu", tie_word_embeddings=False, rope_parameters=dict(rope_type="linear", factor=2.0, rope_theta=50.0))) + \
    several("num_key_value_heads", 3) + several("head_dim", 9) + [dict(set=dict(num_attention_heads=5, head_dim=8))] + \
    [dict(set=dict(rope_theta=7.0), drop=["rope_parameters"]), dict(set=dict(rope_scaling=dict(type="linear", factor=2.0))), dict(set=dict(rope_scaling=YARN)),
     dict(set=dict(partial_rotary_factor=0.5)), dict(set=dict(rope_scaling=dict(rope_type="llama3", **LLAMA3), original_max_position_embeddings=12))]
WINDOWS = several("use_sliding_window", False, None, 1) + several("sliding_window", 2, 0, "3") + several("max_window_layers", 0, 2, 3, 28, -1, None) + \
    several("layer_types", None, ["sliding_attention", "full_attention", "sliding_attention"], ["full_attention"] * 3, ["full_attention"], ["full_attention"] * 2 + ["chunked"], "full_attention") + \
    [dict(drop=[key]) for key in ("use_sliding_window", "sliding_window", "max_window_layers")] + \
    [dict(set=dict(use_sliding_window=False, layer_types=["full_attention"] * 3))]

BIDIRECTIONAL = several("use_bidirectional_attention", True, False, None)
GEMMA2 = {key: value for key, value in SMALL.items() if key != "hidden_act"} | dict(
    hidden_activation="silu", head_dim=6, attention_bias=True, query_pre_attn_scalar=8, attn_logit_softcapping=5.0, final_logit_softcapping=6.0, sliding_window=3)
TYPES = ["full_attention", "sliding_attention", "full_attention"]
GEMMA2_CASES = BIDIRECTIONAL + alternatives(dict(attention_bias=False, hidden_activation="gelu", query_pre_attn_scalar=9, attn_logit_softcapping=2.0, final_logit_softcapping=3.0)) + \
    several("attn_logit_softcapping", 0.0, -1.0, "2") + several("final_logit_softcapping", 0.0, -1.0) + several("query_pre_attn_scalar", 9.0, 0, -1) + \
    several("layer_types", None, TYPES, TYPES[:1], TYPES[:2] + ["chunked"], TYPES[:2] + ["chunked_attention"], "full_attention")

ROPES = dict(full_attention=dict(rope_type="linear", factor=2.0, rope_theta=5000.0), sliding_attention=dict(rope_type="default", rope_theta=100.0))
GEMMA3 = {key: value for key, value in GEMMA2.items() if "cap" not in key} | dict(layer_types=TYPES, sliding_window_pattern=2, rope_parameters=ROPES)
GEMMA3_CASES = [case for case in GEMMA2_CASES if "attn_logit_softcapping" not in str(case)] + several("attn_logit_softcapping", 2.0, None) + \
    [dict(drop=["layer_types"]), dict(drop=["layer_types"], set=dict(num_hidden_layers=4, sliding_window_pattern=3)), dict(drop=["layer_types", "sliding_window_pattern"]),
     dict(drop=["layer_types"], set=dict(sliding_window_pattern=None)), dict(set=dict(sliding_window_pattern=None))] + \
    [dict(drop=["rope_parameters"]), dict(drop=["rope_parameters"], set=dict(rope_theta=70.0, rope_local_base_freq=30.0)), dict(drop=["rope_parameters"], set=dict(rope_theta=None)),
     dict(drop=["rope_parameters"], set=dict(rope_local_base_freq=None)), dict(set=dict(rope_theta=70.0, rope_local_base_freq=30.0)),
     dict(set=dict(rope_parameters=dict(full_attention=dict(rope_type="default")), rope_theta=70.0, rope_local_base_freq=30.0)),
     dict(set=dict(rope_parameters=dict(sliding_attention=dict(rope_type="default"), full_attention=None), rope_theta=70.0)),
     *(dict(drop=["rope_parameters"], set=dict(rope_scaling=scaling, rope_theta=70.0))
       for scaling in ({}, None, dict(rope_type="linear", factor=8.0), dict(type="linear", factor=8.0), dict(rope_type="linear", factor=8.0, rope_theta=90.0),
                       dict(rope_type="llama3", **LLAMA3), YARN, LONGROPE, "linear"))] + \
    [dict(set=dict(rope_parameters=dict(ROPES, **{kind: LONGROPE}), **top)) for kind in ROPES for top in ({}, dict(original_max_position_embeddings=9))]

LAYER_ROPES = dict(full_attention=dict(rope_type="default", rope_theta=5000.0), sliding_attention=dict(rope_type="default", rope_theta=500.0))


def alternatives_of(**values): return [{key: value} for key, value in values.items()] + [{key: None} for key in values]


FAMILIES = {
    "mistral": (dict(SMALL, head_dim=6, sliding_window=3), SMALL_CASES + several("sliding_window", 2, 0, -1, "3") + [dict(drop=["sliding_window"])]),
    "qwen2": (dict(SMALL, use_sliding_window=True, sliding_window=3, max_window_layers=1), SMALL_CASES + WINDOWS),
    "qwen3": (dict(SMALL, head_dim=6, attention_bias=True, use_sliding_window=True, sliding_window=3, max_window_layers=1),
              SMALL_CASES + WINDOWS + alternatives(dict(attention_bias=False))),
    "olmo2": (dict(SMALL, attention_bias=True), SMALL_CASES + alternatives(dict(attention_bias=False))),
    "gemma": (dict(SMALL, head_dim=6, attention_bias=True),
              SMALL_CASES + alternatives(dict(attention_bias=False)) + several("hidden_act", "gelu_new", "gelu_pytorch_tanh") + BIDIRECTIONAL),
    "gemma3_text": (GEMMA3, SMALL_CASES + GEMMA3_CASES + several("sliding_window", 2, 0, -1, "3") + [dict(drop=["sliding_window"])]),
    "gemma2": (GEMMA2, SMALL_CASES + GEMMA2_CASES + several("sliding_window", 2, 0, -1, "3") + [dict(drop=["sliding_window"])]),
    "phi3": (dict(SMALL, pad_token_id=None, sliding_window=3), SMALL_CASES + several("sliding_window", 2, 0, -1, "3") + [dict(drop=["sliding_window"])] + PHI3_ROPES),
    "olmo3": (dict(SMALL, layer_types=["sliding_attention", "full_attention", "sliding_attention"], sliding_window=3, rope_parameters=LAYER_ROPES),
              SMALL_CASES + alternatives(dict(attention_bias=True, sliding_window=2, layer_types=["full_attention", "sliding_attention", "full_attention"])) +
              [dict(set=dict(num_hidden_layers=2), drop=["layer_types"]), dict(set=dict(num_hidden_layers=5), drop=["layer_types"])] +
              several("layer_types", ["full_attention"] * 3, ["full_attention"] * 2 + ["chunked"]) + several("sliding_window", 0) +
              several("rope_parameters", dict(full_attention=YARN, sliding_attention=dict(rope_type="linear", factor=2.0, rope_theta=9.0)), dict(full_attention=None, sliding_attention=None),
                      dict(full_attention=dict(rope_theta=9.0)), dict(sliding_attention=dict(rope_theta=9.0)), dict(LAYER_ROPES, full_attention=dict(YARN, truncate=False)),
                      dict(LAYER_ROPES, full_attention=LONGROPE), dict(LAYER_ROPES, sliding_attention=LONGROPE), {}) +
              [dict(set=dict(rope_scaling=scaling, **theta), **drop) for scaling in (YARN, dict(YARN, rope_theta=9.0), dict(type="linear", factor=2.0), {})
               for theta in ({}, dict(rope_theta=7.0)) for drop in ({}, dict(drop=["rope_parameters"]))] +
              [dict(set=dict(rope_scaling=YARN, rope_parameters=dict(sliding_attention=dict(rope_theta=9.0)))), dict(set=dict(rope_theta=None), drop=["rope_parameters"])]),
    "granite": (dict(SMALL, attention_bias=True, mlp_bias=True, embedding_multiplier=3.0, attention_multiplier=0.5, residual_multiplier=0.25, logits_scaling=2),
                SMALL_CASES + alternatives(dict(attention_bias=False, mlp_bias=False, embedding_multiplier=2, attention_multiplier=0.125, residual_multiplier=0.5, logits_scaling=4.0)) +
                several("logits_scaling", 0, "2")),
    "smollm3": (dict(SMALL, pad_token_id=None, no_rope_layers=[1, 0, 1], use_sliding_window=True, sliding_window=3),
                SMALL_CASES + alternatives(dict(attention_bias=True, mlp_bias=True, no_rope_layers=[0, 1, 1], use_sliding_window=False, sliding_window=2,
                                                layer_types=["sliding_attention", "full_attention", "full_attention"], no_rope_layer_interval=2)) +
                [dict(set=dict(no_rope_layer_interval=interval), drop=["no_rope_layers"]) for interval in (1, 2, 3, 0)] + several("no_rope_layers", [1, 0], [1, 0, 2]) +
                [dict(set=dict(num_hidden_layers=5), drop=["no_rope_layers"]), dict(set=dict(use_sliding_window=False, layer_types=["sliding_attention"] * 3)),
                 dict(set=dict(sliding_window=None, layer_types=["sliding_attention"] * 3)), dict(drop=["use_sliding_window", "sliding_window"])] +
                several("layer_types", ["full_attention"], ["full_attention"] * 2 + ["chunked"]) + several("sliding_window", 0)),
    "gpt_neox": (dict(vocab_size=53, hidden_size=24, intermediate_size=36, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=40, layer_norm_eps=1e-4, hidden_act="relu",
                      tie_word_embeddings=True, use_parallel_residual=False, attention_bias=False, rope_parameters=dict(rope_type="default", rope_theta=5000.0, partial_rotary_factor=0.7)),
                 alternatives(dict(vocab_size=54, hidden_size=32, intermediate_size=35, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=41, layer_norm_eps=1e-3,
                                   hidden_act="gelu", tie_word_embeddings=False, use_parallel_residual=True, attention_bias=True, head_dim=8, rotary_pct=0.5, rotary_emb_base=50.0, rope_theta=7.0,
                                   partial_rotary_factor=0.5, rope_parameters=dict(rope_type="linear", factor=2.0, rope_theta=50.0))) +
                 several("num_attention_heads", 5) + several("head_dim", 6) +
                 [dict(set=change, drop=["rope_parameters"]) for change in (*alternatives_of(rotary_pct=0.5, rotary_emb_base=50.0, rope_theta=7.0, partial_rotary_factor=0.3), {}, dict(rotary_pct=1.0),
                                                                           dict(rotary_pct=0), dict(rotary_pct=0.1))] +
                 [dict(set=dict(rope_scaling=dict(scaling, **part))) for scaling in (dict(type="linear", factor=2.0), YARN, dict(type="dynamic", factor=2.0), dict(rope_type="llama3", **LLAMA3), LONGROPE, dict(LONGROPE, short_factor=[1.5, 2.0], long_factor=[3.0, 4.0]))
                  for part in ({}, dict(partial_rotary_factor=0.7), dict(partial_rotary_factor=0.5), dict(partial_rotary_factor=1.0))] +
                 [dict(set=dict(rope_scaling=dict(YARN, partial_rotary_factor=0.7), original_max_position_embeddings=9))]),
    "llama": (dict(vocab_size=53, hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=6,
                   max_position_embeddings=40, rms_norm_eps=1e-4, hidden_act="gelu", tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
                   rope_parameters=dict(rope_type="default", rope_theta=5000.0)),
              alternatives(dict(vocab_size=54, hidden_size=32, intermediate_size=35, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
                                max_position_embeddings=41, rms_norm_eps=1e-3, hidden_act="relu", tie_word_embeddings=False, attention_bias=False, mlp_bias=False)) +
              several("num_key_value_heads", 3) + several("hidden_act", "silu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "swish", "unheard", 3) +
              several("hidden_size", 26, "24", 24.0) + several("tie_word_embeddings", "true", 1) + several("head_dim", 9) +
              [dict(set=dict(head_dim=None, num_key_value_heads=None)), dict(drop=["head_dim", "num_key_value_heads"])] + LLAMA_ROPE),
    "opt": (dict(vocab_size=53, hidden_size=20, ffn_dim=28, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=40, word_embed_proj_dim=12,
                 do_layer_norm_before=True, activation_function="gelu", tie_word_embeddings=False, enable_bias=True, layer_norm_elementwise_affine=True,
                 _remove_final_layer_norm=False),
            alternatives(dict(vocab_size=54, hidden_size=24, ffn_dim=27, num_hidden_layers=3, num_attention_heads=2, max_position_embeddings=41,
                              word_embed_proj_dim=20, do_layer_norm_before=False, activation_function="relu", tie_word_embeddings=True, enable_bias=False,
                              layer_norm_elementwise_affine=False, _remove_final_layer_norm=True)) + several("num_attention_heads", 3)),
    "gpt2": (dict(vocab_size=53, n_embd=20, n_inner=28, n_layer=2, n_head=4, n_positions=40, layer_norm_epsilon=1e-4, activation_function="relu",
                  tie_word_embeddings=False, scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, reorder_and_upcast_attn=False, add_cross_attention=False),
             alternatives(dict(vocab_size=54, n_embd=24, n_inner=27, n_layer=3, n_head=2, n_positions=41, layer_norm_epsilon=1e-3, activation_function="gelu",
                               tie_word_embeddings=True, scale_attn_weights=False, scale_attn_by_inverse_layer_idx=True, add_cross_attention=True)) +
             several("hidden_size", 24, None) + several("num_hidden_layers", 3, None) + several("num_attention_heads", 2, None) +
             several("max_position_embeddings", 41, None) + several("n_head", 3) + several("reorder_and_upcast_attn", True)),
}
# What transformers computes and loragrad refuses: stated here, so that a refusal is never mistaken for agreement.
UNSUPPORTED = [("*", "is_causal", (False, None)), ("*", "quantization_config", ({"quant_method": "x"},)), ("*", "per_layer_config", ({"0": {"intermediate_size": 20}},)),
               ("*", "configuration_files", (["config.4.0.0.json"],)), ("opt", "layer_norm_elementwise_affine", (False,)), ("gpt2", "add_cross_attention", (True,)),
               ("granite", "logits_scaling", (0,)), ("gpt_neox", "head_dim", (8,)), ("smollm3", "no_rope_layers", ([1, 0, 2],)), ("olmo3", "sliding_window", (0,)), ("smollm3", "sliding_window", (0,)),
               ("mistral", "sliding_window", (-1,)), ("phi3", "sliding_window", (0, -1)), *((family, "sliding_window", (0, -1)) for family in ("gemma2", "gemma3_text")),
               *((family, "use_bidirectional_attention", (True,)) for family in ("gemma", "gemma2", "gemma3_text")),
               *((family, key, (0.0, -1.0)) for family in ("gemma2", "gemma3_text") for key in ("attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar")), ("qwen2", "max_window_layers", (-1,)), ("qwen3", "max_window_layers", (-1,))]


def write_config(folder, config):
    (folder / "config.json").write_text(json.dumps(config))


def changed(config, case):
    config = {**copy.deepcopy(config), **copy.deepcopy(case.get("set", {}))}
    for key in case.get("drop", []): config.pop(key, None)
    return config


def turns(config, rope):
    """Of a rotation, or of those of full and of sliding layers. loragrad takes rows of as many tokens as "dynamic" is meant for."""
    if isinstance(rope.rope_type, dict):
        kinds, both = ("full_attention", "sliding_attention"), copy.deepcopy(config)
        both.layer_types = list(kinds)  # whether a layer is of the kind or not
        rope = type(rope)(both)
        class Of:
            def __init__(self, kind):
                self.kind, self.rope_type, self.attention_scaling = kind, rope.rope_type.get(kind, ""), getattr(rope, kind + "_attention_scaling", 1)
                self.of_kind = rope.config.rope_parameters[kind]
            def __call__(self, x, positions): rope(x, positions, self.kind)
            @property
            def inv_freq(self): return getattr(rope, self.kind + "_inv_freq", torch.zeros(0))
        full, sliding = (turns(config, Of(kind)) for kind in kinds)
        return full | {key + "2": value for key, value in sliding.items() if key.startswith("rope_")} | \
            dict(rope_of_layers=[kinds.index(kind) for kind in config.layer_types])
    parameters = getattr(rope, "of_kind", config.rope_parameters)
    longer, long = [config.max_position_embeddings, parameters["factor"]] if rope.rope_type == "dynamic" else [], []
    positions = int(longer[0] * longer[1]) if longer else config.max_position_embeddings
    if rope.rope_type == "longrope":
        original = parameters["original_max_position_embeddings"]
        rope(torch.zeros(1), torch.arange(int(original) + 1)[None])
        longer, long = [int(original), 1], rope.inv_freq.clone()
        rope(torch.zeros(1), torch.arange(int(original))[None])
    elif longer:  # fails only then
        rope(torch.zeros(1), torch.arange(int(longer[0] * longer[1]))[None])
        rope(torch.zeros(1), torch.arange(3)[None])
    return dict(max_position_embeddings=positions, rope_beyond=longer, rope_long_frequencies=six_digits(long) if len(long) else [],
                rope_frequencies=six_digits(rope.inv_freq), rope_factor=[] if rope.attention_scaling == 1 else [float(f"{rope.attention_scaling:.6g}")])


def six_digits(values): return [float(f"{value:.6g}") for value in values.tolist()]
def eps_of(norm): return norm.eps if hasattr(norm, "eps") else norm.variance_epsilon


def computes(config):
    """Built on the meta device and run once, for shapes that fail only then."""
    with tempfile.TemporaryDirectory() as folder:
        write_config(pathlib.Path(folder), config)
        config = transformers.AutoConfig.from_pretrained(folder)
    with torch.device("cpu" if re.search("dynamic|longrope", str(config)) else "meta"):  # which looks at positions
        config.dtype = torch.float32
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        model(input_ids=torch.zeros(1, 3, dtype=torch.long))
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    found = dict(vocab_size=embedding.num_embeddings, tie_word_embeddings=head.weight is embedding.weight)
    name = lambda module: re.sub(r"Activation|\(.*", "", str(module)).lower()
    if config.model_type in LLAMAS:
        rope = [cls for name, cls in vars(sys.modules[type(model).__module__]).items() if name.endswith("RotaryEmbedding")][0](config)
        layers, layer = model.model.layers, model.model.layers[0]
        attention, d = layer.self_attn, embedding.embedding_dim
        found |= dict(hidden_size=d, intermediate_size=layer.mlp.up_proj.out_features, head_dim=attention.head_dim, num_attention_heads=attention.q_proj.out_features // attention.head_dim,
                      num_key_value_heads=attention.k_proj.out_features // attention.head_dim, norm_eps=eps_of(model.model.norm), activation=getattr(config, "hidden_activation", None) or config.hidden_act,
                      attention_bias=attention.q_proj.bias is not None, mlp_bias=layer.mlp.up_proj.bias is not None, **turns(config, rope))
        if config.model_type in ("gemma2", "gemma3_text"):
            found |= dict(query_pre_attn_scalar=round(attention.scaling ** -2), attn_logit_softcapping=config.model_type == "gemma2" and attention.attn_logit_softcapping or 0,
                          final_logit_softcapping=config.final_logit_softcapping or 0)
        if config.model_type == "granite":
            found |= dict(embedding_multiplier=[model.model.embedding_multiplier], attention_multiplier=[attention.scaling], residual_multiplier=[layer.residual_multiplier], logits_scaling=[config.logits_scaling])
        if config.model_type == "smollm3": found |= dict(rope_of_layers=[1 - layer.self_attn.use_rope for layer in layers])
        if config.model_type != "llama":
            if config.model_type in ("olmo3", "smollm3"): windows = [config.sliding_window if kind == "sliding_attention" else 0 for kind in config.layer_types]  # as its masks
            else: windows = [(config.sliding_window if config.model_type == "mistral" else getattr(layer.self_attn, "sliding_window", None)) or 0 for layer in layers]
            found |= dict(output_bias=attention.o_proj.bias is not None, head_norms=hasattr(attention, "q_norm"), windows=windows if any(windows) else [])
    elif config.model_type == "phi3":
        layers, layer = model.model.layers, model.model.layers[0]
        attention, d = layer.self_attn, embedding.embedding_dim
        head, q = attention.head_dim, attention.o_proj.in_features
        found |= dict(hidden_size=d, intermediate_size=layer.mlp.gate_up_proj.out_features // 2, head_dim=head, num_attention_heads=q // head,
                      num_key_value_heads=(attention.qkv_proj.out_features - q) // 2 // head, norm_eps=eps_of(model.model.norm), activation=config.hidden_act,
                      **turns(config, sys.modules[type(model).__module__].Phi3RotaryEmbedding(config)),
                      original_max_position_embeddings=config.original_max_position_embeddings if config.rope_parameters["rope_type"] == "longrope" else 0,  # for its prepare_inputs_for_generation
                      windows=[config.sliding_window] * len(layers) if config.sliding_window else [])
    elif config.model_type == "gpt_neox":
        layers, layer = model.gpt_neox.layers, model.gpt_neox.layers[0]
        attention = layer.attention
        found |= dict(hidden_size=embedding.embedding_dim, intermediate_size=layer.mlp.dense_h_to_4h.out_features, head_dim=attention.head_size, num_attention_heads=attention.dense.in_features // attention.head_size,
                      norm_eps=layer.input_layernorm.eps, activation=config.hidden_act, attention_bias=attention.dense.bias is not None, use_parallel_residual=layer.use_parallel_residual,
                      **turns(config, model.gpt_neox.rotary_emb if model.device.type != "meta" else type(model.gpt_neox.rotary_emb)(config)))
    elif config.model_type == "opt":
        decoder = model.model.decoder
        layers, layer = decoder.layers, decoder.layers[0]
        attention = layer.self_attn
        found |= dict(hidden_size=layer.embed_dim, intermediate_size=layer.fc1.out_features, word_embed_proj_dim=embedding.embedding_dim, head_dim=attention.head_dim,
                      num_attention_heads=attention.num_heads, norm_eps=layer.final_layer_norm.eps, activation=config.activation_function,
                      attention_bias=attention.q_proj.bias is not None, mlp_bias=layer.fc1.bias is not None, do_layer_norm_before=layer.do_layer_norm_before,
                      final_layer_norm=decoder.final_layer_norm is not None, max_position_embeddings=decoder.embed_positions.num_embeddings - 2)
    else:
        layers, layer = model.transformer.h, model.transformer.h[0]
        attention, second = layer.attn, model.transformer.h[1].attn
        found |= dict(hidden_size=embedding.embedding_dim, intermediate_size=layer.mlp.c_fc.nf, head_dim=attention.head_dim, num_attention_heads=attention.num_heads,
                      norm_eps=layer.ln_1.eps, activation=config.activation_function, max_position_embeddings=model.transformer.wpe.num_embeddings,
                      scale_attn_weights=attention.scaling != 1, scale_attn_by_inverse_layer_idx=second.scaling != attention.scaling)
    return found | dict(num_hidden_layers=len(layers))


def unsupported(family, config, found):
    if family == "gemma3_text":  # rope_scaling is merged into rope_parameters there, and its "type" does not count
        scaling, of_types = config.get("rope_scaling"), config.get("rope_parameters")
        if scaling and (of_types is not None or scaling.get("rope_type") not in ("default", "linear", "dynamic", "llama3", "yarn", "longrope")): return True
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if family == "olmo3" and "type" in rope and "rope_type" not in rope and not config.get("rope_parameters"): return True
    rope = rope.get("full_attention") or rope
    if family in ("phi3", "gpt_neox") and "short_factor" in rope and rope.get("rope_type", rope.get("type")) != "default":  # one frequency or one factor for many
        part = rope.get("partial_rotary_factor", config.get("rotary_pct", 0.25) if family == "gpt_neox" else config.get("partial_rotary_factor", 1))
        if len(rope["short_factor"]) != (int(config["hidden_size"] // config["num_attention_heads"] * part) + 1) // 2: return True
    if family in (*LLAMAS, "gpt_neox"):
        kind = rope.get("rope_type") or rope.get("type") or "default"
        if kind not in ("default", "linear", "dynamic", "llama3", "yarn", "longrope") or (kind == "yarn" and (rope["factor"] or 1) < 1): return True
    if family == "smollm3" and "num_attention_heads" not in config: return True  # 16 heads of 24 dimensions
    if family == "gpt_neox" and rope.get("rope_type", rope.get("type")) in ("yarn", "dynamic"):
        dims = int(config["hidden_size"] // config["num_attention_heads"] * rope.get("partial_rotary_factor", config.get("rotary_pct", 0.25)))
        if (kind == "yarn" and dims % 2) or (kind == "dynamic" and dims <= 2): return True
    return any(f in ("*", family) and key in config and config[key] in values for f, key, values in UNSUPPORTED)


def key_cases(family, base, cases):
    base = dict(base, model_type=family)
    expected = computes(base)
    rows = []
    for case in COMMON + cases:
        config, row = changed(base, case), copy.deepcopy(case)
        try: found = computes(config)
        except Exception as e:
            row["error"] = True
        else:
            if unsupported(family, config, found): row["unsupported"] = True
            row["computes"] = {key: value for key, value in found.items() if value != expected[key]}
            if not row["computes"]: del row["computes"]
        rows.append(row)
    return dict(base=base, computes=expected, cases=rows)


EMBEDDING = dict(opt="model.decoder.embed_tokens.weight", gpt2="transformer.wte.weight", llama="model.embed_tokens.weight")
PREFIX = dict(opt="model.", gpt2="transformer.", llama="model.")


def loss_cases():
    cases = [dict(model="gpt2", set=dict(scale_attn_by_inverse_layer_idx=True)), dict(model="gpt2", set=dict(scale_attn_weights=False)),
             dict(model="opt", set=dict(_remove_final_layer_norm=True), remove=["decoder.final_layer_norm"]),
             dict(model="opt", set=dict(enable_bias=False), remove=[r"(proj|fc\d)\.bias"]),
             dict(model="llama", set=dict(rope_scaling=dict(type="linear", factor=2), rope_theta=777.0)), dict(model="llama", set=dict(rope_scaling=dict(type="linear", factor=2))),
             dict(model="llama3", set=dict(rope_scaling={}, rope_theta=777.0)), dict(model="llama3", set=dict(original_max_position_embeddings=20)),
             dict(model="llama3", set=dict(sliding_window=4)), dict(model="opt", set=dict(sliding_window=4))]
    for model in ("opt", "opt-350m", "gpt2", "llama3", "llama"):
        family = re.match("[a-z]+2?", model)[0]
        embedding, prefix = EMBEDDING[family], PREFIX[family]
        tied, bare = dict(tie_word_embeddings=True), {"^" + re.escape(prefix): ""}
        # Where tensors are changed more than once: removed, copied, swapped, renamed, in this order.
        own = dict(remove=["lm_head"])
        for names in ({}, bare):
            cases += [dict(model=model, set=tied, **own, copy={embedding: "lm_head.weight"}, rename=names),                                   # both, equal
                      dict(model=model, set=tied, **own, copy={embedding: "lm_head.weight"}, swap="lm_head.weight", rename=names),            # both, different
                      dict(model=model, set=tied, **own, rename={**names, "^" + re.escape(embedding.removeprefix(prefix) if names else embedding) + "$": "lm_head.weight"})]  # the head alone
        cases += [dict(model=model, set=tied, **own, rename={"^" + re.escape(embedding) + "$": prefix + "lm_head.weight"}),                    # with the prefix
                  dict(model=model, set=tied, **own),                                                                                     # the embedding alone
                  dict(model=model, set=dict(tie_word_embeddings=False), **own, copy={embedding: "lm_head.weight"}, swap="lm_head.weight"),
                  dict(model=model, set=dict(tie_word_embeddings=False), **own),                                                          # no head
                  dict(model=model, set=dict(tie_word_embeddings=False), **own, rename={"^" + re.escape(embedding) + "$": "lm_head.weight"}),  # no embedding
                  dict(model=model, set=tied, remove=["lm_head", re.escape(embedding)])]                                                  # neither
    return [{key: value for key, value in case.items() if value} for case in cases]


def change_tensors(tensors, case):
    tensors = {name: t for name, t in tensors.items() if not any(re.search(pattern, name) for pattern in case.get("remove", []))}
    for old, new in case.get("copy", {}).items(): tensors[new] = tensors[old].clone()
    if "swap" in case:
        flat = tensors[case["swap"]].view(-1)
        flat[0], flat[-1] = flat[-1].clone(), flat[0].clone()
    for old, new in case.get("rename", {}).items(): tensors = {re.sub(old, new, name): t for name, t in tensors.items()}
    return tensors


def loss_of(case):
    """With the loading report, for transformers only warns of tensors that are missing or not used."""
    folder = GOLDEN / case["model"]
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    with tempfile.TemporaryDirectory() as name:
        write_config(pathlib.Path(name), changed(json.loads((folder / "model/config.json").read_text()), case))
        save_file(change_tensors(load_file(folder / "model/model.safetensors"), case), name + "/model.safetensors", metadata={"format": "pt"})
        model, report = transformers.AutoModelForCausalLM.from_pretrained(name, dtype=torch.float64, attn_implementation="eager", output_loading_info=True)
        if report["missing_keys"] or report["unexpected_keys"]: return None
        return mean_loss(model.eval(), rows).item()


def loss_row(case):
    loss = loss_of(case)
    return case | (dict(error=True) if loss is None else dict(loss=loss))


if __name__ == "__main__":
    out, only = GOLDEN / "config.json", sys.argv[1:]
    transformers.logging.set_verbosity_error()
    known = json.loads(out.read_text()) if only else dict(keys={})
    keys = {family: key_cases(family, base, cases) if family in only or not only else known["keys"][family]
            for family, (base, cases) in FAMILIES.items() if not only or family in only or family in known["keys"]}
    losses = known["losses"] if only else [loss_row(case) for case in loss_cases()]
    line = lambda rows: "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"
    parts = [f'"{family}": {{"base": {json.dumps(k["base"])},\n"computes": {json.dumps(k["computes"])},\n"cases": {line(k["cases"])}}}' for family, k in keys.items()]
    out.write_text(f'{{"transformers": "{transformers.__version__}",\n"keys": {{{(",".join(parts))}}},\n"losses": {line(losses)}}}\n')
    json.loads(out.read_text())
