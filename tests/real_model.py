#!/usr/bin/env python3
"""A real model beside transformers and PEFT: the losses of a training from the same adapter, in f32, and greedy text.

    real_model.py PROGRAM MODEL ROWS.jsonl [--steps 8] [--batch-size 4] [--rank 16] [--prompts 5] [--tokens 24]

ROWS are {"text"}; both sides tokenise them themselves and add the end token. Prints both sides' numbers; ends with 1 where a loss
differs by more than 1e-3 or a text is another. Needs a Python with torch, transformers and peft.
"""
import argparse, json, pathlib, subprocess, sys, tempfile


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("rows", type=pathlib.Path)
    for name, default in (("steps", 8), ("batch-size", 4), ("rank", 16), ("prompts", 5), ("tokens", 24)): parser.add_argument("--" + name, type=int, default=default)
    return parser.parse_args()


def main():
    args = arguments()
    import peft, torch, transformers
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    base = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, attn_implementation="eager").eval()
    config = base.generation_config.eos_token_id or base.config.eos_token_id
    end = config[0] if isinstance(config, list) else config
    texts = [json.loads(line)["text"] for line in open(args.rows)][:args.steps * args.batch_size]
    loragrad = lambda *words, **options: subprocess.run([args.program, *map(str, words)], check=True, capture_output=True, text=True, **options).stdout

    def greedy(text):
        ids = tokenizer(text, return_tensors="pt").input_ids
        out = base.generate(ids, max_new_tokens=args.tokens, do_sample=False, eos_token_id=end)
        return out[0, ids.shape[1]:].tolist()

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        prompts = [text[:len(text) // 3] for text in texts[:args.prompts]]
        (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
        lines = loragrad("generate", "--model", args.model, "--data", folder / "prompts.jsonl", "--max-tokens", args.tokens, "--precision", "f32").splitlines()
        theirs = [greedy(prompt) for prompt in prompts]
        same = sum(json.loads(line)["ids"] == ids for line, ids in zip(lines, theirs, strict=True))
        for line in lines: print(f"  {json.loads(line)['text']!r:.110}")
        print(f"greedy text: {same} of {len(prompts)} as transformers'")

        model = peft.get_peft_model(base, peft.LoraConfig(r=args.rank, lora_alpha=2 * args.rank, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
        model.save_pretrained(folder / "start")
        loragrad("train", "--model", args.model, "--init-adapter", folder / "start", "--data", args.rows, "--output", folder / "out", "--steps", args.steps,
                 "--batch-size", args.batch_size, "--lr", 1e-3, "--schedule", "constant", "--clip", 0, "--no-shuffle", "--precision", "f32")
        ours = [json.loads(line)["loss"] for line in (folder / "out" / "metrics.jsonl").read_text().splitlines()]
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)
        worst = 0
        print("step   loragrad       PEFT  difference")
        for step, loss in enumerate(ours):
            rows = [tokenizer(text).input_ids + [end] for text in texts[step * args.batch_size:(step + 1) * args.batch_size]]
            width = max(map(len, rows))
            ids = torch.tensor([row + [end] * (width - len(row)) for row in rows])
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
            theirs = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)).loss
            optimizer.zero_grad()
            theirs.backward()
            optimizer.step()
            worst = max(worst, abs(loss - theirs.item()))
            print(f"{step + 1:4} {loss:10.5f} {theirs.item():10.5f} {abs(loss - theirs.item()):11.2e}")
    return int(worst > 1e-3 or same < len(prompts))


if __name__ == "__main__":
    sys.exit(main())
