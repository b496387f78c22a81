#!/usr/bin/env python3
"""Fuzzes every reader of files that come from elsewhere, and prints what came of it.

    fuzz.py BUILD [SECONDS] [READER ...]      in all (default: 60), shared out among the readers (default: all)

Inputs that found something new stay in BUILD/corpus, for the next time. What a reader fell over stays in BUILD/findings, and the
exit status is 1.
"""
import os, pathlib, re, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent
LIMITS = ["-rss_limit_mb=2048", "-malloc_limit_mb=512", "-timeout=20"]


def fuzz(program, corpus, findings, seconds):
    """(inputs, edges covered, the findings' files)."""
    before = set(findings.iterdir())
    log = subprocess.run([program, corpus, f"-max_total_time={seconds}", f"-artifact_prefix={findings}/", "-print_final_stats=1", "-max_len=65536",
                          *LIMITS], capture_output=True, text=True, errors="replace", env={**os.environ, "ASAN_OPTIONS": "allocator_may_return_null=1"})
    inputs = re.findall(r"number_of_executed_units: (\d+)", log.stderr)
    edges = re.findall(r"cov: (\d+)", log.stderr)
    found = sorted(set(findings.iterdir()) - before)
    if log.returncode != 0: print(log.stderr[-6000:], file=sys.stderr)
    if log.returncode != 0 and not found: found = [program]
    return int(inputs[-1]) if inputs else 0, int(edges[-1]) if edges else 0, found


def main(build, seconds, wanted):
    programs = {p.name.removeprefix("fuzz_"): p for p in sorted((build / "tests" / "fuzz").glob("fuzz_*")) if p.is_file() and os.access(p, os.X_OK)}
    if unknown := set(wanted) - set(programs): sys.exit(f"no such reader: {', '.join(sorted(unknown))}; there are: {', '.join(programs)}")
    readers = wanted or list(programs)
    corpus, findings = build / "corpus", build / "findings"
    findings.mkdir(exist_ok=True)
    subprocess.run([sys.executable, HERE / "seeds.py", corpus], check=True)
    total = bad = 0
    for reader in readers:
        inputs, edges, found = fuzz(programs[reader], corpus / reader, findings, max(1, seconds // len(readers)))
        total, bad = total + inputs, bad + len(found)
        print(f"{reader:20} {inputs:9,} inputs {edges:7,} edges {len(found):3} findings", flush=True)
        for file in found: print(f"                 {programs[reader]} {file}", flush=True)
    print(f"{total:,} inputs, {bad} findings")
    return 1 if bad or not total else 0


if __name__ == "__main__":
    if len(sys.argv) < 2: sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 60, sys.argv[3:]))
