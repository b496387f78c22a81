"""The tables of bench/gpu table, for a terminal or as Markdown."""
import textwrap

from compare_machine import machine_lines
from compare_rows import DROPOUT, RANK
from compare_text import LOSS_DIFFERENCE, MIB, sections, verdict
from gpu_rows import CARD, DECODE, DECODE_SHARE, PREDICTION_ERROR, ROWS


class Figures:
    def __init__(self, row, measured, card):
        self.row, self.ours, self.theirs = row, measured["loragrad"], measured["peft"]
        self.rate = self.ours.tokens / self.ours.step
        self.least = row.rate * card["products"] / CARD
        self.error = measured["predicted"] / self.ours.device_peak - 1
        self.predicted = measured["predicted"]

    def peft_rate(self):
        """In its best mode; where none was run, what it was on the H100."""
        rates = [(run.tokens / run.step, mode) for mode, run in self.theirs.items()]
        return max(rates, default=(self.row.peft, f"{self.row.best}, H100"))

    def same_start(self, other):
        return (self.ours.trained == other.trained and self.ours.tokens == other.tokens
                and abs(self.ours.losses[0] - other.losses[0]) <= LOSS_DIFFERENCE[self.row.model.dtype])


def speed_table(figures):
    rows = []
    for f in figures:
        rate, mode = f.peft_rate()
        rows.append([f.row.name, f"{f.ours.step * 1e3:.1f}", f"{f.rate:.0f}", f"{f.least:.0f}", verdict(f.rate >= f.least, "BELOW"),
                     f"{rate:.0f}", f"{f.rate / rate:.2f}", mode])
    return ["", "step, ms", "tokens/s", "at least", "", "PEFT", "ratio", ""], rows


def forecast_table(figures):
    return (["", "peak, MiB", "predicted", "off by", ""],
            [[f.row.name, f"{f.ours.device_peak / MIB:.0f}", f"{f.predicted / MIB:.0f}", f"{100 * f.error:+.1f} %",
              verdict(abs(f.error) <= PREDICTION_ERROR, "OFF")] for f in figures])


def peft_table(figures):
    rows = []
    for f in figures:
        for mode, run in f.theirs.items():
            ratio, most = f.ours.device_peak / run.device_peak, f.row.memory.get(mode)
            rows.append([f"{f.row.name}, {mode}", f"{run.device_peak / MIB:.0f}", f"{ratio:.3f}", f"{most:.2f}" if most else "",
                         verdict(ratio <= most, "ABOVE") if most else "", f"{f.ours.losses[0]:.4f}", f"{run.losses[0]:.4f}",
                         verdict(f.same_start(run), "DIFFERENT")])
    return ["", "PEFT, MiB", "ratio", "at most", "", "loss, step 1", "PEFT", ""], rows


def decode_line(decode, card):
    return (f"Decoding, Llama-3.1-8B in bf16: {decode['rate']:.1f} tokens/s, {100 * decode['share']:.0f} % of what copies at "
            f"{card['copies'] / 1e9:.0f} GB/s allow (at least {100 * DECODE_SHARE:.0f} %: {verdict(decode['share'] >= DECODE_SHARE, 'BELOW')}).")


def report(results, markdown):
    card = results["card"]
    figures = [Figures(row, results["rows"][row.key], card) for row in ROWS if row.key in results["rows"]]
    versions = next((run.versions for f in figures for run in f.theirs.values()), {})
    ours, theirs = machine_lines(results["machine"], versions, results["machine"]["cores"])
    setting = (f"{card['gpu']}: copies {card['copies'] / 1e9:.0f} GB/s, products of bf16 {card['products'] / 1e12:.0f} TFLOP/s "
               f"(8192^3), {card['products'] / CARD:.2f} of the H100's that the limits are of. LoRA r = {RANK}, dropout {DROPOUT}, AdamW, "
               f"bf16; the median of {results['steps']} steps without the first.")
    tables = [("Speed", "Targets are q_proj and v_proj where nothing else is said. Ratio: loragrad's rate / PEFT's in its best mode.", speed_table),
              ("Memory", "The most of the GPU's memory that was taken. Predicted: by `loragrad check`.", forecast_table)]
    if versions:
        tables.append(("Beside PEFT", "Ratio: the peak of loragrad / PEFT's, as its allocator has it. The first loss is the base model's.", peft_table))
    parts = sections(tables, figures, markdown) if figures else []
    lines = [decode_line(results[DECODE], card)] if DECODE in results else []
    lines += [f"NOT MEASURED: {key}: {why.splitlines()[-1]}" for key, why in results["missing"].items()]
    if markdown:
        return "\n\n".join(["## One GPU", f"{ours}. {theirs}.", setting, *parts, *lines]) + "\n"
    return "\n\n".join([*parts, "\n".join(textwrap.fill(line, 110) for line in (*lines, setting, ours, theirs))]) + "\n"
