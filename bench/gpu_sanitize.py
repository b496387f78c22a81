"""bench/gpu sanitize: the small cases of the ops under NVIDIA's checkers, where each tensor is an allocation of its own."""
import os, re, shutil, signal, subprocess, time

import run_all

TOOLS = ["memcheck", "racecheck", "initcheck", "synccheck"]
FOUND = 99  # what a checker ends with that has found something
FINDING = re.compile(r"^=========(?! COMPUTE-SANITIZER| \w+ SUMMARY: 0 | *$).*", re.MULTILINE)
CASE = re.compile(r"^\d+\.\d{6} s: ", re.MULTILINE)


def run(words, env, seconds):
    """(the output, the exit status) of a process and its own; the status is None where its time was over."""
    with subprocess.Popen(words, cwd=run_all.ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          start_new_session=True) as process:
        try:
            return process.communicate(timeout=seconds)[0], process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.communicate()[0], None


def verdict(output, status):
    if status not in (0, FOUND, None):
        return "FAILED", output[-4000:]
    if (findings := FINDING.findall(output)) or status == FOUND:
        return "FOUND", "\n".join(findings[:60])
    return "CUT OFF" if status is None else "OK", ""


def sanitize(build, seconds):
    checker = shutil.which("compute-sanitizer", path=os.environ.get("PATH", "") + ":/usr/local/cuda/bin")
    if reason := run_all.why_no_gpu(run_all.gpus(build)) or ("" if checker else "compute-sanitizer is not installed"):
        print(f"skipped: {reason}")
        return run_all.NO_GPU
    suite = run_all.suite(build, "ops")
    words, env = [*suite["cmd"], *run_all.SMALL_OPS], {**os.environ, **suite["env"], **run_all.QUICK}
    there = int(re.search(r"filters: (\d+)", run([*words, "--count"], env, 60)[0])[1])
    end, good = time.monotonic() + seconds, True
    for i, tool in enumerate(TOOLS):
        start = time.monotonic()
        share = (end - start) / (len(TOOLS) - i)  # what one leaves is the others'
        output, status = run([checker, "--tool", tool, "--error-exitcode", str(FOUND), *words, "--duration"], env, share)
        said, why = verdict(output, status)
        good = good and said == "OK"
        print(f"{tool:10} {len(CASE.findall(output)):4} of {there} cases {time.monotonic() - start:7.1f} s  {said}", flush=True)
        if why: print(why, flush=True)
    return 0 if good else 1
