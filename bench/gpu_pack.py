"""bench/gpu pack: the programs of a build, and the libraries they load, for a machine that has a GPU and no compiler."""
import os, pathlib, re, shutil, subprocess, sys, tempfile

import run_all
from compare_setup import ROOT, say

PROGRAMS = ["app/loragrad", *(f"tests/{name}/test_{name}" for name in run_all.SUITES), "bench/ops", "bench/rates", "bench/decode"]
# Left to the other machine: the system's own, and the driver's and CUDA's.
ITS_OWN = re.compile(r"(ld-linux[^/]*|lib(c|m|dl|pthread|rt|stdc\+\+|gcc_s|cuda|cudart|cublas|cublasLt))\.so.*")
unpacked = None  # a temporary folder, as long as this process lives


def call(*words):
    if subprocess.run(words).returncode != 0:
        sys.exit(f"error: {words[0]} has failed")


def build(folder):
    if not (folder / "build.ninja").exists():
        call("meson", "setup", folder, ROOT, "-Dcuda=enabled", "-Dgpu_arch=90a")
    rules = (folder / "build.ninja").read_text()
    targets = [program for program in PROGRAMS if f"\nbuild {program}:" in rules]
    if missing := set(PROGRAMS) - set(targets):
        say(f"warning: without {', '.join(sorted(missing))}: google-benchmark is not installed")
    call("ninja", "-C", folder, *targets)
    if "without CUDA" in (run_all.gpus(folder)["why_no_gpu"] or ""):
        sys.exit(f"error: {folder} is built without CUDA (meson's -Dcuda=enabled)")
    return targets


def libraries(programs):
    found = set()
    for program in programs:
        found |= set(re.findall(r"=> (/\S+)", subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout))
    return sorted(path for path in found if not ITS_OWN.fullmatch(os.path.basename(path)))


def pack(folder, programs, file):
    with tempfile.TemporaryDirectory(prefix="loragrad-gpu-") as temporary:
        root = pathlib.Path(temporary)
        copies = [(folder / program, root / "build" / program) for program in programs]
        copies += [(path, root / "lib" / os.path.basename(path)) for path in libraries(folder / program for program in programs)]
        for path, copy in copies:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        call("strip", "--strip-unneeded", *(copy for _, copy in copies))
        file.parent.mkdir(parents=True, exist_ok=True)
        call("tar", "--create", "--use-compress-program", "xz -T0 -3", "--file", file, "-C", root, "build", "lib")
    say(f"packed {file}: {file.stat().st_size / 2**20:.1f} MiB")


def unpack(file):
    """The build folder of a pack, or of the folder it was unpacked in; from then on its libraries are found."""
    global unpacked
    root = file
    if not file.is_dir():
        unpacked = tempfile.TemporaryDirectory(prefix="loragrad-gpu-")
        root = pathlib.Path(unpacked.name)
        call("tar", "--extract", "--file", file, "-C", root)
    os.environ["LD_LIBRARY_PATH"] = ":".join([str((root / "lib").resolve()), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    os.environ["LORAGRAD_BUILD"] = str((root / "build").resolve())
    return pathlib.Path(os.environ["LORAGRAD_BUILD"])
