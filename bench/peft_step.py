#!/usr/bin/env python3
"""The other side of bench/compare: LoRA training of a model folder with torch, transformers and PEFT. Prints one line of
JSON: the seconds and the loss of every step, the first included, and the versions. A step is forward, backward and update.

    peft_step.py --model FOLDER --data ROWS.jsonl --dtype f32|bf16 --targets NAMES|all-linear --batch N --steps N
        --length N --threads N [--checkpoint] [--device cpu|cuda] [--mode eager|liger|compile]

Rows of a step are padded to its longest, which counts for neither side. On a GPU the seconds are those until it has done all of the step, and the most of its memory that was allocated is said too.
"""
import argparse, importlib.metadata, json, os, platform, time, warnings


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["model", "data", "dtype", "targets"]:
        parser.add_argument("--" + name, required=True)
    for name in ["batch", "steps", "length", "threads"]:
        parser.add_argument("--" + name, required=True, type=int)
    parser.add_argument("--checkpoint", action="store_true", help="gradient checkpointing")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mode", default="eager", choices=["eager", "liger", "compile"], help="liger: with liger-kernel's; compile: by torch.compile")
    return parser.parse_args()


def padded(rows, length, device):
    """The ids, labels and attention mask of rows; no mask where they are of one length, as a data collator's is of ones alone."""
    import torch
    width = min(length, max(len(row["input_ids"]) for row in rows))
    def column(values, fill): return torch.tensor([[*row[:width], *[fill] * (width - len(row))] for row in values], device=device)
    mask = column([[1] * len(row["input_ids"]) for row in rows], 0)
    return column([row["input_ids"] for row in rows], 0), column([row["labels"] for row in rows], -100), None if mask.all() else mask


def main():
    args = arguments()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)  # before torch is there
    warnings.filterwarnings("ignore")
    import peft, torch, transformers
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[args.dtype]
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "PEFT": peft.__version__}
    loader = transformers.AutoModelForCausalLM
    if args.mode == "liger":
        from liger_kernel.transformers import AutoLigerKernelForCausalLM as loader
        versions["liger-kernel"] = importlib.metadata.version("liger-kernel")
    model = loader.from_pretrained(args.model, dtype=dtype).to(args.device)
    targets = args.targets if args.targets == "all-linear" else args.targets.split(",")
    model = peft.get_peft_model(model, peft.LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.05, target_modules=targets, task_type="CAUSAL_LM"))
    if args.checkpoint:
        model.enable_input_require_grads()  # without it nothing before the first adapter has a gradient to pass on
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    if args.mode == "compile":
        model.compile()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)

    with open(args.data) as file:
        rows = [json.loads(line) for line in file]
    on_gpu = args.device != "cpu"
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    seconds, losses = [], []
    batch_of = lambda step: [rows[(step * args.batch + i) % len(rows)] for i in range(args.batch)]
    for step in range(args.steps):
        batch = batch_of(step)
        ids, labels, mask = padded(batch, args.length, args.device)
        wait()
        start = time.perf_counter()
        loss = model(input_ids=ids, labels=labels, attention_mask=mask, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        wait()
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
    print(json.dumps({
        "seconds": seconds, "losses": losses, "tokens": sum(min(len(row["input_ids"]), args.length) for row in batch_of(0)), "trained": sum(p.numel() for p in trained),
        "device_peak": torch.cuda.max_memory_allocated() if on_gpu else 0,
        "versions": {**versions, "Python": platform.python_version()}}))


if __name__ == "__main__":
    main()
