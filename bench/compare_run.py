"""One run of either side of bench/compare, each a process of its own."""
import json, os, pathlib, statistics, subprocess, tempfile, threading, time
from dataclasses import dataclass

from compare_rows import ALPHA, DROPOUT, LEARNING_RATE, RANK
from compare_setup import ROOT


deadline = None  # of time.monotonic(): a run that takes longer is ended


class Failed(SystemExit):
    pass


@dataclass
class Outcome:
    seconds: list  # of every step, the first too
    losses: list
    trained: int   # parameters
    tokens: int    # of a step
    peak: int      # bytes resident at most, as the system counts them
    start: float = 0.0  # loragrad: seconds from the start of the process to its first step
    versions: dict = None
    device_peak: int = 0  # bytes of a GPU's memory

    @property
    def step(self):
        """The median step; the first warms up."""
        return statistics.median(self.seconds[1:] or self.seconds)


def finish(command):
    """Runs a command: its stdout, its peak resident bytes, and when (ns) it started."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.time_ns()
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err)
        end = deadline and threading.Timer(max(1, deadline - time.monotonic()), process.kill)
        if end: end.start()
        _, status, usage = os.wait4(process.pid, 0)
        if end: end.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode != 0:
            raise Failed(f"error: {' '.join(map(str, command))}\nended with {process.returncode}:\n{err.read()[-2000:]}")
        return out.read(), usage.ru_maxrss * 1024, start


def train_flags(row, folder, steps, threads, full=False):
    """What `loragrad train` and `loragrad check` are told, but for --output."""
    flags = ["--model", folder, "--data", folder / "rows.jsonl", "--lr", LEARNING_RATE, "--schedule", "constant", "--clip", 0,
             "--no-shuffle", "--batch-size", row.batch, "--seq-len", row.length, "--steps", steps, "--threads", threads,
             "--device", row.device]
    if row.checkpoint:
        flags.append("--checkpoint-activations")
    if row.model.dtype == "f32":
        flags += ["--precision", "f32"]  # whatever the file has
    if full:
        return flags + ["--full"]
    return flags + ["--rank", RANK, "--alpha", ALPHA, "--dropout", DROPOUT, "--target", row.targets]


def loragrad(program, row, folder, steps, threads, full=False):
    with tempfile.TemporaryDirectory(prefix="loragrad-bench-") as temporary:
        output = pathlib.Path(temporary) / "adapter"
        out, peak, start = finish([program, "train", *train_flags(row, folder, steps, threads, full), "--output", output, "--json"])
        metrics = output / "metrics.jsonl"
        steps = [json.loads(line) for line in metrics.read_text().splitlines()]
        seconds = [step["seconds"] for step in steps]
        # The last line of the metrics is written when the last step has ended.
        began = metrics.stat().st_mtime_ns / 1e9 - start / 1e9 - sum(seconds)
        return Outcome(seconds, [step["loss"] for step in steps], json.loads(out)["trainable_parameters"], steps[0]["tokens"],
                       peak, start=began, device_peak=max(step.get("device_peak_bytes", 0) for step in steps))


def predicted_peak(program, row, folder, steps, threads):
    out, _, _ = finish([program, "check", *train_flags(row, folder, steps, threads), "--json"])
    return json.loads(out)["predicted_peak_bytes"]


def peft(python, row, folder, steps, threads, mode="eager"):
    flags = ["--model", folder, "--data", folder / "rows.jsonl", "--dtype", row.model.dtype, "--targets", row.targets,
             "--batch", row.batch, "--steps", steps, "--length", row.length, "--threads", threads,
             "--device", row.device, "--mode", mode]
    out, peak, _ = finish([python, ROOT / "bench" / "peft_step.py", *flags, *(["--checkpoint"] if row.checkpoint else [])])
    result = json.loads(out.splitlines()[-1])
    return Outcome(result["seconds"], result["losses"], result["trained"], result["tokens"], peak,
                   versions=result["versions"], device_peak=result["device_peak"])
