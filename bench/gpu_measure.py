"""What bench/gpu table measures, row by row, until its time is over."""
import json, os, re, subprocess, time

import compare_run as run
import compare_setup as setup
import run_all
from compare_machine import machine
from gpu_rows import DECODE, KEYS, LENGTH, LLAMA, ROWS


def figures(pattern, text):
    return [float(number) for number in re.search(pattern, text).groups()]


class Measuring:
    def __init__(self, build, models, python, peft, steps):
        self.build, self.models, self.python, self.peft, self.steps = build, models, python, peft, steps
        self.program, self.threads = build / "app" / "loragrad", len(os.sched_getaffinity(0))

    def card(self):
        """What the GPU is, and does at most."""
        gpu = next(gpu for gpu in run_all.gpus(self.build)["gpus"] if gpu["fit"])
        out, _, _ = run.finish([self.build / "bench" / "rates", "--device", "cuda"])
        copies, bf16 = figures(r"copies +([\d.]+) GB/s\nproducts of bf16 +([\d.]+) GFLOP/s", out)
        return {"gpu": gpu["name"], "copies": copies * 1e9, "products": bf16 * 1e9}

    def folder(self, model):
        folder = self.models / model.folder
        setup.make_model(self.python, folder, model, LENGTH, "cuda")
        return folder

    def row(self, row):
        folder = self.folder(row.model)
        what = row, folder, self.steps, self.threads
        found = {"predicted": run.predicted_peak(self.program, *what), "loragrad": run.loragrad(self.program, *what), "peft": {}}
        setup.say(f"{row.key}: {found['loragrad'].step:.4f} s a step")
        for mode in row.modes if self.peft else []:
            found["peft"][mode] = run.peft(self.python, *what, mode)
            setup.say(f"{row.key}: PEFT {mode} {found['peft'][mode].step:.4f} s a step")
        return found

    def decode(self):
        out, _, _ = run.finish([self.build / "bench" / "decode", self.folder(LLAMA), "bf16", "--device", "cuda"])
        rate, share = figures(r"decoding +([\d.]+) tokens/s, (\d+) %", out)
        return {"rate": rate, "share": share / 100}


def measure(measuring, keys, seconds, save):
    """Every row's figures, saved as they come. A row that fails, or has no time left, is named with its reason."""
    run.deadline = time.monotonic() + seconds
    results = {"machine": machine(measuring.program), "card": measuring.card(), "steps": measuring.steps, "rows": {}, "missing": {}}
    rows = {row.key: row for row in ROWS}
    for key in [key for key in KEYS if key in keys]:
        try:
            if time.monotonic() > run.deadline:
                raise run.Failed("no time was left")
            if key == DECODE:
                results[DECODE] = measuring.decode()
            else:
                results["rows"][key] = measuring.row(rows[key])
        except (run.Failed, subprocess.CalledProcessError) as why:
            results["missing"][key] = str(why)
            setup.say(f"{key}: {why}")
        save(results)
    return results


def saved(results):
    return json.dumps(results, default=vars, indent=1) + "\n"


def read(file):
    results = json.loads(file.read_text())
    for row in results["rows"].values():
        row["loragrad"] = run.Outcome(**row["loragrad"])
        row["peft"] = {mode: run.Outcome(**outcome) for mode, outcome in row["peft"].items()}
    return results
