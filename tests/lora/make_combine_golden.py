#!/usr/bin/env python3
"""Makes golden/combine beside this file: three adapters, and what PEFT's add_weighted_adapter makes of them.

    python tests/lora/make_combine_golden.py        (needs torch, peft and safetensors)
"""
import copy, pathlib, shutil

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "golden" / "combine"
WEIGHTS = {"first": 0.7, "second": -0.4, "third": 1.3}


class Model(torch.nn.Module):
    """Maps whose widths differ, one of them of fewer rows than the ranks together, and an embedding."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed_tokens = torch.nn.Embedding(11, 7)
        self.up, self.down, self.side = torch.nn.Linear(7, 9), torch.nn.Linear(9, 6), torch.nn.Linear(7, 5)

    def get_input_embeddings(self): return self.embed_tokens

    def get_output_embeddings(self): return None


def trained(name, seed, **config):
    model = get_peft_model(Model(), LoraConfig(lora_dropout=0.05, **config))
    torch.manual_seed(seed)
    for key, tensor in model.named_parameters():
        if "lora_" in key: tensor.data = torch.randn_like(tensor)
    model.save_pretrained(OUT / name)
    (OUT / name / "README.md").unlink()


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    trained("first", 1, r=4, lora_alpha=6, target_modules=["embed_tokens", "up", "down"], alpha_pattern={"down": 3})
    trained("second", 2, r=4, lora_alpha=5, target_modules=["embed_tokens", "down", "side"], use_rslora=True)
    trained("third", 3, r=2, lora_alpha=7, target_modules=["embed_tokens", "up", "side"])
    model = PeftModel.from_pretrained(Model(), OUT / "first", "first")
    model.load_adapter(OUT / "second", "second")
    model.load_adapter(OUT / "third", "third")
    tensors = {}
    two, three = list(WEIGHTS)[:2], list(WEIGHTS)
    for name, adapters, method, more in (("cat", three, "cat", {}), ("svd", three, "svd", {"svd_rank": 3}), ("linear", two, "linear", {}),
                                         ("ties", two, "ties", {"density": 0.6}), ("magnitude_prune", two, "magnitude_prune", {"density": 0.35}),
                                         ("dare_linear", two, "dare_linear", {"density": 1.0}), ("dare_ties", two, "dare_ties", {"density": 1.0})):
        model.base_model.add_weighted_adapter(adapters, [WEIGHTS[a] for a in adapters], name, method, **more)
        for key, tensor in model.state_dict().items():
            # An embedding's factors have no ".weight".
            if f".{name}.weight" in key or key.endswith(f".{name}"):
                key = key.removeprefix("base_model.model.").replace(f".{name}", "")
                tensors[f"{name}.{key}"] = tensor.contiguous()
    save_file(tensors, OUT / "results.safetensors")


if __name__ == "__main__":
    main()
