"""What bench/compare needs before it can measure: the program, the reference environment, the models."""
import os, pathlib, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
REFERENCE = ROOT / ".reference"


def say(text):
    print(text, file=sys.stderr, flush=True)


def loragrad():
    """The program of the usual build, which is built where it is missing."""
    program = pathlib.Path(os.environ.get("LORAGRAD_BUILD", ROOT / "build")) / "app" / "loragrad"
    if not program.exists():
        subprocess.run([ROOT / "run", "build"], check=True)
    return program


def has_peft(python):
    return subprocess.run([python, "-c", "import torch, transformers, peft"], capture_output=True).returncode == 0


def reference_python(given):
    """A Python with torch, transformers and PEFT: the given one, or the one under .reference/, made where it is missing."""
    if given:
        if not has_peft(given):
            sys.exit(f"error: {given}: expected a Python with torch, transformers and peft")
        return given
    python = REFERENCE / "bin" / "python"
    if not python.exists():
        say(f"making {REFERENCE} (some minutes, some GB)")
        subprocess.run([sys.executable, "-m", "venv", REFERENCE], check=True)
    if not has_peft(python):
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", ROOT / "bench" / "requirements.txt"], check=True)
    return python


def make_model(python, folder, model, length, device="cpu"):
    """Makes a benchmark model where it is missing."""
    if (folder / "rows.jsonl").exists():
        return
    say(f"making {folder}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([python, ROOT / "bench" / "make_model.py", model.shape, folder, "--dtype", model.dtype,
                    "--length", str(length), "--device", device], check=True, stdout=subprocess.DEVNULL)
