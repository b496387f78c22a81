"""The adapters: what PEFT's LoraConfig is told, and what loragrad train is, for the same."""
import dataclasses
from typing import Callable, Optional

from families import Family


def all_linear(family): return "all-linear"


def part(family): return list(family.targets)


def always(family): return ""


@dataclasses.dataclass
class Variant:
    flags: Optional[Callable[[Family], list]]  # None: train has no flag for it, and goes on from PEFT's adapter
    peft: Callable[[Family], dict]  # beside r, lora_alpha and target_modules
    targets: Callable[[Family], object] = all_linear
    unmerged: Callable[[Family], str] = always  # what merge says where it cannot be merged
    in_peft: Callable[[Family], bool] = lambda family: True
    base: bool = False  # PEFT's adapter changes the base while it is trained, and is saved for the base as it was


def words(*flags, **peft):
    """A variant that is the same for every family."""
    return Variant(lambda family: list(flags), lambda family: peft)


def saved(name):
    """modules_to_save of a module whose name is a family's `name`, or is the same in all."""
    module = lambda family: getattr(family, name, name)
    return Variant(lambda family: ["--modules-to-save", module(family)], lambda family: {"modules_to_save": [module(family)]})


def with_embedding(family): return [family.embedding, family.targets[0]]


def with_head(family): return ["lm_head", family.targets[0]]


TOKENS = [5, 50, 9]


def patterns(family):
    first, second = family.targets
    return {"rank_pattern": {first: 5, f"1\\..*{second}": 2}, "alpha_pattern": {second: 9, f"^.*0\\..*{first}": 4.5}}


VARIANTS = {
    "plain": words(),
    "rslora": words("--rslora", use_rslora=True),
    "patterns": Variant(None, patterns, part),
    "dora": words("--dora", use_dora=True),
    "lora_bias": dataclasses.replace(words("--lora-bias", lora_bias=True), unmerged=lambda family: "" if family.biases == "all" else "to merge the adapter into"),
    "pissa": dataclasses.replace(words("--init", "pissa", init_lora_weights="pissa"), base=True),
    # PEFT does not transpose a Conv1D's weight for OLoRA: shapes do not fit.
    "olora": dataclasses.replace(words("--init", "olora", init_lora_weights="olora"), base=True, in_peft=lambda family: family.config.model_type != "gpt2"),
    "orthogonal": words("--init", "orthogonal", init_lora_weights="orthogonal"),
    "bias lora_only": dataclasses.replace(words("--bias", "lora_only", bias="lora_only"), targets=part),
    "bias all": dataclasses.replace(words("--bias", "all", bias="all"), targets=part),
    "save head": saved("lm_head"),
    "save embedding": saved("embedding"),
    "save norm": saved("norm"),
    "embedding": dataclasses.replace(words(), targets=with_embedding),
    "embedding dora": dataclasses.replace(words("--dora", use_dora=True), targets=with_embedding),
    "head": dataclasses.replace(words(), targets=with_head),
    "tokens": dataclasses.replace(words("--trainable-tokens", ",".join(map(str, TOKENS)), trainable_token_indices=TOKENS), targets=part),
    "layers": Variant(lambda family: ["--layers", "1"], lambda family: {"layers_to_transform": [1]}, part),
    "exclude": Variant(lambda family: ["--exclude", family.targets[1]], lambda family: {"exclude_modules": [family.targets[1]]}),
}
