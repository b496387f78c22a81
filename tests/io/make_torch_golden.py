#!/usr/bin/env python3
"""Files as torch.save writes them, the tensors that are in them, and files that only look like it.

    make_torch_golden.py [OUT_DIR]          (default: golden/ next to this file; needs torch and safetensors)

Writes OUT_DIR/tensors.bin, a state dict with every type, tensors in other orders than their storages', views and shared
storages; OUT_DIR/tensors.safetensors, the same tensors one by one; and of a few bytes each old.bin (the format before 1.6),
protocol4.bin, nested.bin (a training checkpoint), attack.bin (a call of os.system) and big_endian.bin.
"""
import collections
import os
import pathlib
import sys
import zipfile

import torch
from safetensors.torch import save_file


class Attack:
    def __reduce__(self): return os.system, ("echo run by a pickle",)


def tensors():
    torch.manual_seed(3)
    table = torch.randn(7, 5)
    state = collections.OrderedDict(torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.LayerNorm(3)).state_dict())
    state["embed.weight"] = table
    state["head.weight"] = table
    state["row"] = table[3]
    state["column"] = table[:, 2]
    state["corner"] = table[2:6, 1:4]
    state["transposed"] = table.T
    state["every_other"] = table[::2]
    state["permuted"] = torch.randn(2, 3, 4, 5).permute(3, 0, 2, 1)
    state["expanded"] = torch.arange(9).expand(1, 9)
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.empty(0, 4)
    state["parameter"] = torch.nn.Parameter(torch.randn(3, 1))
    for name, dtype in (("half", torch.half), ("brain", torch.bfloat16), ("double", torch.double)): state[name] = torch.randn(3, 3).to(dtype)
    for name, dtype in (("long", torch.long), ("int", torch.int), ("short", torch.short), ("char", torch.int8), ("byte", torch.uint8)):
        state[name] = torch.tensor([1, 2, 100]).to(dtype)
    state["mask"] = torch.tril(torch.ones(3, 3, dtype=torch.bool)).view(1, 1, 3, 3)
    state._metadata = collections.OrderedDict([("", {"version": 1}), ("0", {"version": 2.5, "flags": [None, True, (1, -1, 2 ** 40, -2 ** 40)]})])
    return state


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "golden")
    out.mkdir(parents=True, exist_ok=True)
    state = tensors()
    torch.save(state, out / "tensors.bin")
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in state.items()}, out / "tensors.safetensors")
    small = {"a": torch.ones(2)}
    torch.save(small, out / "old.bin", _use_new_zipfile_serialization=False)
    torch.save(small, out / "protocol4.bin", pickle_protocol=4)
    torch.save({"model": small, "step": 3}, out / "nested.bin")
    torch.save({"a": Attack()}, out / "attack.bin")
    torch.save(small, out / "small.bin")
    with zipfile.ZipFile(out / "small.bin") as source, zipfile.ZipFile(out / "big_endian.bin", "w") as target:
        for name in source.namelist(): target.writestr(name, b"big" if name.endswith("byteorder") else source.read(name))
    (out / "small.bin").unlink()


if __name__ == "__main__":
    main()
