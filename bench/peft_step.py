#!/usr/bin/env python3
"""The other side of bench/compare: LoRA training of a model folder with torch, transformers and PEFT. Prints one line of
JSON: the seconds and the loss of every step, the first included, and the versions. A step is forward, backward and update.

    peft_step.py --model FOLDER --data ROWS.jsonl --dtype f32|bf16 --targets NAMES|all-linear --batch N --steps N
        --length N --threads N [--checkpoint]
"""
import argparse, json, os, platform, time, warnings


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ["model", "data", "dtype", "targets"]:
        parser.add_argument("--" + name, required=True)
    for name in ["batch", "steps", "length", "threads"]:
        parser.add_argument("--" + name, required=True, type=int)
    parser.add_argument("--checkpoint", action="store_true", help="gradient checkpointing")
    return parser.parse_args()


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
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype)
    targets = args.targets if args.targets == "all-linear" else args.targets.split(",")
    model = peft.get_peft_model(model, peft.LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.05, target_modules=targets, task_type="CAUSAL_LM"))
    if args.checkpoint:
        model.enable_input_require_grads()  # without it nothing before the first adapter has a gradient to pass on
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)

    with open(args.data) as file:
        rows = [json.loads(line) for line in file]
    seconds, losses = [], []
    for step in range(args.steps):
        batch = [rows[(step * args.batch + i) % len(rows)] for i in range(args.batch)]
        ids, labels = (torch.tensor([row[key][:args.length] for row in batch]) for key in ["input_ids", "labels"])
        start = time.perf_counter()
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
        losses.append(loss.item())
    print(json.dumps({
        "seconds": seconds, "losses": losses, "tokens": ids.numel(), "trained": sum(p.numel() for p in trained),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "PEFT": peft.__version__,
                     "Python": platform.python_version()}}))


if __name__ == "__main__":
    main()
