"""The rows of bench/compare's table: what is trained, and what the ratios have to be."""
import pathlib
from dataclasses import dataclass

RANK, ALPHA, DROPOUT, LEARNING_RATE, LENGTH = 16, 32, 0.05, 2e-4, 256


@dataclass(frozen=True)
class Model:
    folder: str  # under --models
    shape: str   # bench/make_model.py's word for it
    dtype: str   # of the file, and of PEFT's model


OPT_F32 = Model("opt-125m-f32", "opt-125m", "f32")
OPT_BF16 = Model("opt-125m-bf16", "opt-125m", "bf16")
SMOLLM2_F32 = Model("smollm2-135m-f32", "smollm2-135m", "f32")
SMOLLM2_BF16 = Model("smollm2-135m-bf16", "smollm2-135m", "bf16")
GEMMA3_F32 = Model("gemma3-270m-f32", "gemma3-270m", "f32")
GEMMA3_BF16 = Model("gemma3-270m-bf16", "gemma3-270m", "bf16")
TINYLLAMA_BF16 = Model("tinyllama-bf16", "tinyllama-1.1b", "bf16")


@dataclass(frozen=True)
class Row:
    device = "cpu"
    key: str
    title: str
    model: Model
    speed: float   # PEFT's step time / ours: at least; 0 for no such demand
    memory: float  # our peak / PEFT's: at most; 0 likewise
    batch: int = 4
    length: int = LENGTH
    targets: str = "q_proj,v_proj"
    checkpoint: bool = False


ROWS = [
    Row("opt-f32", "OPT-125M f32", OPT_F32, 3.0, 0.28),
    Row("opt-bf16", "OPT-125M bf16", OPT_BF16, 2.0, 0.28),
    Row("smollm2-f32", "SmolLM2-135M f32", SMOLLM2_F32, 3.0, 0.35),
    Row("smollm2-bf16", "SmolLM2-135M bf16", SMOLLM2_BF16, 2.0, 0.30),
    Row("gemma3-f32", "Gemma 3 270M f32", GEMMA3_F32, 5.0, 0.28),
    Row("gemma3-bf16", "Gemma 3 270M bf16", GEMMA3_BF16, 2.0, 0.21),
    Row("tinyllama-bf16", "TinyLlama-1.1B bf16", TINYLLAMA_BF16, 2.0, 0.65, batch=2),
    Row("opt-all-linear", "OPT-125M f32, all-linear", OPT_F32, 3.0, 0.28, targets="all-linear"),
    Row("opt-checkpoint", "OPT-125M f32, checkpointing", OPT_F32, 2.2, 0.34, checkpoint=True),
]


def own_row(folder, dtype, batch):
    """A row for a model folder that somebody has, with rows.jsonl (input_ids, labels) in it. Rows may be of any lengths."""
    return Row(OWN, pathlib.Path(folder).name, Model(folder, "", dtype), speed=0, memory=0, batch=batch)


OWN = "own"
# Lines under the table, about loragrad alone.
STARTUP, FULL = "start-up", "full"
STARTUP_SECONDS = 0.3   # from the start of the process to its first step: at most
PREDICTION_ERROR = 0.05  # of the forecast peak: at most
KEYS = [row.key for row in ROWS] + [STARTUP, FULL]
