"""The machine and the versions that figures belong to."""
import datetime, os, pathlib, re, subprocess

from compare_setup import ROOT

# The first of them that the processor has decides how fast products can be.
ISA = {"amx_bf16": "AMX with bf16", "avx512_bf16": "AVX-512 with bf16 products", "avx512f": "AVX-512, no bf16 products",
       "avx2": "AVX2, no bf16 products"}


def first(pattern, text, otherwise="unknown"):
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1).strip().strip('"') if found else otherwise


def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def git(*words):
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def product_library(program):
    """What a dynamically linked program multiplies with, by the names of the libraries' files."""
    linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    for name, pattern in {"oneDNN": r"libdnnl\.so[^ ]* => (\S+)", "OpenBLAS": r"libopenblas[^ ]* => (\S+)"}.items():
        if found := re.search(pattern, linked):
            return f"{name} {first(r'([0-9]+(?:[.][0-9]+)+)', os.path.basename(os.path.realpath(found.group(1))), '')}".strip()
    return "an unknown library"


def machine(program):
    cpu, memory = read("/proc/cpuinfo"), read("/proc/meminfo")
    flags = set(first(r"^(?:flags|Features)\s*:(.*)", cpu, "").split())
    return {
        "processor": first(r"^model name\s*:(.*)", cpu),
        "cores": len(os.sched_getaffinity(0)),
        "isa": next((words for flag, words in ISA.items() if flag in flags), "no AVX2"),
        "memory_bytes": int(first(r"^MemTotal:\s*(\d+)", memory, "0")) * 1024,
        "system": first(r"^PRETTY_NAME=(.*)", read("/etc/os-release")),
        "products": product_library(program),
        "commit": (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if git("status", "--porcelain") else ""),
        "date": datetime.date.today().isoformat(),
    }


def machine_lines(machine, versions, threads):
    ours = f"loragrad {machine['commit']}, products by {machine['products']}"
    theirs = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [f"{machine['processor']}, {machine['cores']} cores, {machine['isa']}, "
            f"{machine['memory_bytes'] / 2**30:.0f} GiB; {machine['system']}; {threads} threads; {machine['date']}",
            f"{ours}; {theirs}" if theirs else ours]
