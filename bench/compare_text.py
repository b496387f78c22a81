"""The tables of bench/compare, for a terminal or as Markdown."""
import statistics, textwrap

from compare_machine import machine_lines
from compare_rows import DROPOUT, FULL, LENGTH, OWN, PREDICTION_ERROR, RANK, ROWS, STARTUP, STARTUP_SECONDS, own_row

# Of the first step, which no random draw has touched: B is zero. bf16 is rounded in other places on the two sides.
LOSS_DIFFERENCE = {"f32": 1e-3, "bf16": 3e-2}
MIB = 2**20


class Figures:
    """One row's medians over the rounds."""

    def __init__(self, row, measured):
        ours, theirs = measured["loragrad"], measured["peft"]
        self.row = row
        self.step = statistics.median(run.step for run in ours)
        self.peft_step = statistics.median(run.step for run in theirs)
        self.tokens, self.peft_tokens = ours[0].tokens, theirs[0].tokens
        self.speed = self.peft_step / self.step
        self.speeds = [b.step / a.step for a, b in zip(ours, theirs)]
        self.peak = statistics.median(run.peak for run in ours)
        self.peft_peak = statistics.median(run.peak for run in theirs)
        self.memory = self.peak / self.peft_peak
        self.predicted = measured["predicted"]
        self.error = self.predicted / self.peak - 1
        self.losses, self.peft_losses = ours[0].losses, theirs[0].losses
        self.versions = theirs[0].versions
        self.trained, self.peft_trained = ours[0].trained, theirs[0].trained

    @property
    def same_start(self):
        return (self.trained == self.peft_trained and self.tokens == self.peft_tokens
                and abs(self.losses[0] - self.peft_losses[0]) <= LOSS_DIFFERENCE[self.row.model.dtype])

    @property
    def name(self):
        rows = f"{self.row.model.dtype}, {self.row.batch} rows" if self.row.key == OWN else f"{self.row.batch}x{LENGTH}"
        return f"{self.row.title} {rows}"


def verdict(good, otherwise):
    return "OK" if good else otherwise


def speed_table(figures):
    return (["", "step, s", "PEFT, s", "tokens/s", "PEFT", "ratio", "of rounds", "at least", ""],
            [[f.name, f"{f.step:.3f}", f"{f.peft_step:.3f}", f"{f.tokens / f.step:.0f}", f"{f.tokens / f.peft_step:.0f}",
              f"{f.speed:.2f}", f"{min(f.speeds):.2f}-{max(f.speeds):.2f}", f"{f.row.speed:g}" if f.row.speed else "",
              verdict(f.speed >= f.row.speed, "BELOW")] for f in figures])


def memory_table(figures):
    return (["", "peak, MiB", "PEFT, MiB", "ratio", "at most", "", "predicted", "off by", ""],
            [[f.name, f"{f.peak / MIB:.0f}", f"{f.peft_peak / MIB:.0f}", f"{f.memory:.3f}", f"{f.row.memory:.2f}" if f.row.memory else "",
              verdict(not f.row.memory or f.memory <= f.row.memory, "ABOVE"), f"{f.predicted / MIB:.0f}", f"{100 * f.error:+.1f} %",
              verdict(abs(f.error) <= PREDICTION_ERROR, "OFF")] for f in figures])


def loss_table(figures):
    last = max(len(f.losses) for f in figures)
    return (["", "trained", "PEFT", "loss, step 1", "PEFT", "", f"loss, step {last}", "PEFT"],
            [[f.name, f"{f.trained}", f"{f.peft_trained}", f"{f.losses[0]:.4f}", f"{f.peft_losses[0]:.4f}",
              verdict(f.same_start, "DIFFERENT"), f"{f.losses[-1]:.4f}", f"{f.peft_losses[-1]:.4f}"] for f in figures])


def startup_line(runs):
    seconds = statistics.median(run.start for run in runs)
    return (f"From the start of the process to its first step, OPT-125M f32 in the page cache: {seconds:.2f} s "
            f"(at most {STARTUP_SECONDS:g} s: {verdict(seconds <= STARTUP_SECONDS, 'ABOVE')}).")


def full_line(lora, full):
    step, full_step = (statistics.median(run.step for run in runs) for runs in (lora, full))
    peak, full_peak = (statistics.median(run.peak for run in runs) / MIB for runs in (lora, full))
    return (f"LoRA beside training all parameters (--full), OPT-125M f32: {step:.3f} s beside {full_step:.3f} s a step, "
            f"ratio {step / full_step:.2f}; {peak:.0f} MiB beside {full_peak:.0f} MiB, ratio {peak / full_peak:.2f}.")


def text_table(table):
    header, rows = table
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    # The row's name and verdicts to the left, figures to the right.
    left = [name == "" for name in header]
    line = lambda row: "  ".join(cell.ljust(w) if l else cell.rjust(w) for cell, w, l in zip(row, widths, left)).rstrip()
    return "\n".join(line(row) for row in [header, *rows])


def markdown_table(table):
    header, rows = table
    rule = ["---" if name == "" else "---:" for name in header]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


def sections(tables, figures, markdown):
    """(title, words, table of the figures), each as a part of a report."""
    if markdown:
        return [f"### {title}\n\n{words}\n\n{markdown_table(table(figures))}" for title, words, table in tables]
    return [f"{title}. {words.replace('`', '')}\n\n{text_table(table(figures))}" for title, words, table in tables]


def report(results, markdown):
    """All there is to say of `results`, as bench/compare keeps them."""
    runs = results["runs"]
    rows = [*ROWS, own_row(**results["own"])] if results.get("own") else ROWS
    figures = [Figures(row, runs[row.key]) for row in rows if row.key in runs]
    versions = figures[0].versions if figures else {}
    ours, theirs = machine_lines(results["machine"], versions, results["threads"])
    setting = (f"LoRA r = {RANK}, dropout {DROPOUT}, rows of {LENGTH} tokens at most, AdamW. Medians of {results['rounds']} rounds of "
               f"{results['steps']} steps, both sides in turn, each in a process of its own, the first step dropped.")
    tables = [("Speed", "Targets are q_proj and v_proj where nothing else is said. Ratio: PEFT's step / loragrad's.", speed_table),
              ("Memory", "Peak resident memory, mapped files included. Ratio: loragrad's / PEFT's. Predicted: by `loragrad check`.", memory_table),
              ("The same training", "The first loss is the base model's, for B is zero; then A and dropout are drawn differently.", loss_table)]
    parts = sections(tables, figures, markdown) if figures else []
    lines = ([startup_line(runs[STARTUP]["loragrad"])] if STARTUP in runs else []) + ([full_line(**runs[FULL])] if FULL in runs else [])
    parts += lines if markdown else [textwrap.fill(line, 110) for line in lines]
    if markdown:
        command = f"    bench/compare --markdown{results['options']}"
        return "\n\n".join(["## Beside PEFT", f"{ours}. {theirs}.", setting, command, *parts]) + "\n"
    return "\n\n".join([*parts, "\n".join(textwrap.fill(line, 110) for line in (setting, ours, theirs))]) + "\n"


def misses(text):
    """Whether a report says that something is not as it has to be."""
    return any(word in text for word in ("BELOW", "ABOVE", "OFF", "DIFFERENT", "NOT MEASURED"))
