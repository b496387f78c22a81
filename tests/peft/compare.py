#!/usr/bin/env python3
"""Adapters go both ways between loragrad and PEFT: every family with every variant (families.py, variants.py).

    compare.py BINARY [FAMILY ...] [--variant NAME ...]      with a Python that has torch, transformers and peft

Of each case it prints the largest differences of two prompts' logits:
    ours      loragrad trains an adapter, PEFT loads it beside transformers' model
    merged    loragrad merges it, transformers loads the model
    PEFT's    PEFT saves an adapter of random values, loragrad loads it
and by how much the adapters change the base's logits. Ends with 1 where a difference is above LIMIT, an adapter changes nothing,
a tensor is not taken, or a program says anything that it should not.
"""
import argparse, concurrent.futures, copy, json, os, pathlib, subprocess, sys, tempfile, warnings

os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
try:
    import peft, torch, transformers
except ImportError as error:
    sys.exit(f"error: {error}: expected a Python that has torch, transformers and peft (LORAGRAD_PYTHON)")
from safetensors.torch import load_file

transformers.logging.set_verbosity_error()
from families import FAMILIES, VOCAB
from variants import VARIANTS

LIMIT = 2e-4
EFFECT = 0.05  # of an adapter, at least
RANK, ALPHA = 4, 10
PROMPTS = [torch.randint(3, VOCAB, (1, length), generator=torch.Generator().manual_seed(5)) for length in (24, 10)]
# What is said of an adapter that PEFT made for all parts of a model.
OF_OTHER_PARTS = ("are of other parts than the text model", "no module of the model")
ROWS = [torch.randint(3, VOCAB, (length,), generator=torch.Generator().manual_seed(length)).tolist() for length in (9, 17, 12, 20)]


class Wrong(Exception): pass


def logits(model):
    with torch.no_grad(): return torch.cat([model.eval()(input_ids=prompt).logits[0].float() for prompt in PROMPTS])


def base_model(family, folder):
    model, info = family.model_class().from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[what]: raise Wrong(f"transformers: {what} {sorted(info[what])[:3]}")
    return model


class Case:
    def __init__(self, binary, family, variant, base, folder, shared):
        self.binary, self.family, self.variant, self.base, self.folder, self.shared = binary, family, variant, base, folder, shared

    def loragrad(self, *command, says=""):
        done = subprocess.run([self.binary, command[0], "--device", "cpu", "--threads", "1", *map(str, command[1:])], capture_output=True, text=True)
        complaints = [line for line in done.stderr.splitlines() if line.startswith(("warning:", "error:"))]
        if says and done.returncode and says in complaints[-1]: return False
        if done.returncode or says: raise Wrong(f"{command[0]}: " + (complaints[-1] if complaints else "no error, expected " + says))
        return complaints

    def quietly(self, *command):
        complaints = [line for line in self.loragrad(*command) if not (self.family.parts and any(words in line for words in OF_OTHER_PARTS))]
        if complaints: raise Wrong(f"{command[0]}: {complaints[0]}")

    def our_logits(self, *adapter):
        self.quietly("eval", "--model", self.shared / "model", "--data", self.shared / "prompt.jsonl", "--logits", self.folder / "logits", *adapter)
        rows = load_file(self.folder / "logits")
        return torch.cat([rows[f"row.{i}"] for i in range(len(PROMPTS))])

    def config(self):
        return peft.LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules=self.variant.targets(self.family),
                               **self.variant.peft(self.family))

    def save_peft(self, folder):
        """An adapter of PEFT's whose trained tensors are random; its logits beside the base."""
        torch.manual_seed(7)
        model = peft.get_peft_model(copy.deepcopy(self.base), self.config())
        if self.variant.base:  # what to subtract when it is saved
            model.peft_config["default"].init_lora_weights = True
            model.save_pretrained(self.folder / "initial")
            model.peft_config["default"].init_lora_weights = self.variant.peft(self.family)["init_lora_weights"]
        with torch.no_grad():
            for name, p in model.named_parameters():
                if not p.requires_grad: continue
                if "lora_" in name and "magnitude" not in name and not self.variant.base: p.zero_()
                p.add_(torch.randn(p.shape) * 0.15)
        model.save_pretrained(folder, **({"path_initial_model_for_weight_conversion": self.folder / "initial"} if self.variant.base else {}))
        return logits(model)

    def train(self, folder):
        data = ["train", "--model", self.shared / "model", "--data", self.shared / "rows.jsonl", "--output", folder, "--steps", 6, "--lr", 0.03]
        if self.variant.flags is None: return self.loragrad(*data, "--init-adapter", self.folder / "peft")
        targets = self.variant.targets(self.family)
        self.loragrad(*data, "--rank", RANK, "--alpha", ALPHA, "--dropout", 0, "--target", targets if isinstance(targets, str) else ",".join(targets),
                      *self.variant.flags(self.family))

    def load_ours(self, folder):
        """PEFT's logits with our adapter, each tensor of which has to have become one of its own."""
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Found missing adapter keys")
            model = peft.PeftModel.from_pretrained(copy.deepcopy(self.base), folder)
        stored, taken = load_file(folder / "adapter_model.safetensors"), peft.get_peft_model_state_dict(model)
        for name, tensor in stored.items():
            if name not in taken: raise Wrong(f"PEFT does not take {name}")
            if not torch.equal(taken[name], tensor): raise Wrong(f"PEFT has another {name}")
        return logits(model)

    def run(self, base_logits):
        """{column: number}"""
        difference = lambda a, b: (a - b).abs().max().item()
        effects, row = [], {}
        if self.variant.in_peft(self.family):
            theirs = self.save_peft(self.folder / "peft")
            row["PEFT's"] = difference(theirs, self.our_logits("--adapter", self.folder / "peft"))
            effects.append(difference(theirs, base_logits))
        self.train(self.folder / "ours")
        ours = self.our_logits("--adapter", self.folder / "ours")
        row["ours"] = difference(self.load_ours(self.folder / "ours"), ours)
        row["effect"] = min([difference(ours, base_logits), *effects])
        merge = ["merge", "--model", self.shared / "model", "--adapter", self.folder / "ours", "--output", self.folder / "merged"]
        if self.loragrad(*merge, says=self.variant.unmerged(self.family)) is not False:
            row["merged"] = difference(logits(base_model(self.family, self.folder / "merged")), ours)
        return row


COLUMNS = ("effect", "ours", "merged", "PEFT's")


def run_family(binary, name, variants, folder):
    """The rows of the table, and how many cases went wrong."""
    family, wrong, rows = FAMILIES[name], 0, []
    family.make(folder / "model")
    (folder / "rows.jsonl").write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in ROWS))
    (folder / "prompt.jsonl").write_text("".join(json.dumps({"input_ids": prompt[0].tolist()}) + "\n" for prompt in PROMPTS))
    base = base_model(family, folder / "model")
    base_logits = logits(base)
    for variant in variants:
        case = Case(binary, family, VARIANTS[variant], base, folder / variant.replace(" ", "_"), folder)
        case.folder.mkdir()
        try:
            row = case.run(base_logits)
            bad = [c for c in COLUMNS[1:] if c in row and not row[c] <= LIMIT] + (["effect"] if not row["effect"] >= EFFECT else [])
            note = "WRONG: " + ", ".join(bad) if bad else ""
        except (Wrong, Exception) as error:
            row, note = {}, "WRONG: " + (str(error) if isinstance(error, Wrong) else repr(error)).replace("\n", " ")[:300]
        wrong += bool(note)
        rows.append(f"{name:12} {variant:15}" + "".join(f"{row[c]:9.1e}" if c in row else f"{'-':>9}" for c in COLUMNS) + ("  " + note if note else ""))
    return rows, wrong


def in_own_folder(binary, name, variants):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="loragrad-peft-") as folder: return run_family(binary, name, variants, pathlib.Path(folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=", ".join(FAMILIES))
    parser.add_argument("--variant", action="append", choices=VARIANTS)
    args = parser.parse_args()
    if unknown := set(args.families) - set(FAMILIES): parser.error(f"no such family: {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}")
    transformers.utils.logging.disable_progress_bar()
    variants, families = args.variant or list(VARIANTS), args.families or list(FAMILIES)
    print(f"{'family':12} {'variant':15}" + "".join(f"{c:>9}" for c in COLUMNS))
    wrong = 0
    with concurrent.futures.ProcessPoolExecutor(min(len(families), os.cpu_count() or 1)) as pool:
        for rows, bad in pool.map(in_own_folder, [os.path.abspath(args.binary)] * len(families), families, [variants] * len(families)):
            print("\n".join(rows), flush=True)
            wrong += bad
    print(f"{len(families) * len(variants) - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
