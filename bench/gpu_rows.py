"""The rows of bench/gpu table: what is trained, and what has to be reached."""
from dataclasses import dataclass

from compare_rows import Model

LENGTH = 1024               # of the models' rows of tokens; a step may take less of them
CARD = 793e12               # FLOP/s of a product of bf16, 8192^3, on the H100 that the rates below are of
PREDICTION_ERROR = 0.03     # of the forecast peak: at most
DECODE, DECODE_SHARE = "decode", 0.75  # of the rate of copying: at least

OPT = Model("opt-125m-bf16-1024", "opt-125m", "bf16")
SMOLLM2 = Model("smollm2-135m-bf16-1024", "smollm2-135m", "bf16")
TINYLLAMA = Model("tinyllama-bf16-1024", "tinyllama-1.1b", "bf16")
LLAMA = Model("llama-3.1-8b-bf16-1024", "llama-3.1-8b", "bf16")


@dataclass(frozen=True)
class Row:
    device = "cuda"
    checkpoint = False
    key: str
    title: str
    model: Model
    batch: int
    length: int
    targets: str
    rate: float       # tokens/s: at least
    peft: float       # tokens/s: PEFT's on that H100, in the mode that was best
    best: str         # that mode, of bench/peft_step.py's
    memory: dict      # our peak on the device / PEFT's in that mode: at most

    @property
    def modes(self):
        return list(dict.fromkeys([*self.memory, self.best]))

    @property
    def name(self):
        return f"{self.title} {self.batch}x{self.length}"


QV, ALL = "q_proj,v_proj", "all-linear"
ROWS = [
    Row("opt", "OPT-125M", OPT, 4, 256, QV, 140_000, 28_100, "eager", {"eager": 0.6}),
    Row("smollm2", "SmolLM2-135M", SMOLLM2, 4, 256, QV, 78_000, 6_500, "eager", {"eager": 0.5}),
    Row("smollm2-long", "SmolLM2-135M", SMOLLM2, 8, 1024, QV, 290_000, 58_000, "eager", {"eager": 0.4, "liger": 0.9}),
    Row("tinyllama", "TinyLlama-1.1B", TINYLLAMA, 8, 1024, QV, 95_000, 77_700, "compile", {"eager": 0.65, "liger": 0.95}),
    Row("tinyllama-all", "TinyLlama-1.1B, all-linear", TINYLLAMA, 8, 1024, ALL, 79_000, 34_300, "liger", {"eager": 0.4, "liger": 0.5}),
    Row("llama-8b", "Llama-3.1-8B", LLAMA, 4, 1024, QV, 17_600, 15_300, "liger", {"eager": 0.75, "liger": 1.0}),
    Row("llama-8b-all", "Llama-3.1-8B, all-linear", LLAMA, 4, 1024, ALL, 15_400, 8_800, "liger", {"eager": 0.5, "liger": 0.6}),
]
KEYS = [row.key for row in ROWS] + [DECODE]
