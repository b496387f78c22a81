"""A container's limit of memory, by a real control group: it is seen, and a run that it ends is resumed. Needs a system that lets make one: root, and a hierarchy with the controller of memory."""
import os, pathlib, subprocess, sys, tempfile, time

from support import BINARY, CliTest, needs_own_memory, on_processor, run, write_rows

MIB = 1 << 20
# Version 1, and 2: where groups are made, and what their limit is called.
HIERARCHIES = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/unified", "memory.max")]
# Killed first when the group's memory ends.
VICTIM = "1000"


class Group:
    """A control group with a limit, or none where it cannot be made."""
    def __init__(self, limit):
        self.folder = None
        for root, name in HIERARCHIES:
            try:
                folder = pathlib.Path(tempfile.mkdtemp(prefix="loragrad-", dir=root))
            except OSError:
                continue
            try:
                if (folder / "cgroup.procs").exists():  # and no folder like any other
                    (folder / name).write_text(str(limit))
                    self.folder = folder
                    return
            except OSError:
                pass
            folder.rmdir()

    def start(self, words, victim=False, **options):
        def enter():
            (self.folder / "cgroup.procs").write_text(str(os.getpid()))
            if victim: pathlib.Path("/proc/self/oom_score_adj").write_text(VICTIM)
        return subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=enter, **options)

    def remove(self):
        for _ in range(100):  # the last process leaves it a moment after its end
            try:
                return self.folder.rmdir()
            except OSError:
                time.sleep(0.05)


@needs_own_memory
class ControlGroups(CliTest):
    def group(self, limit):
        group = Group(limit)
        if not group.folder: self.skipTest("SKIPPED: no control group of memory can be made here")
        self.addCleanup(group.remove)
        return group

    def test_its_limit_is_what_there_is(self):
        rows = write_rows(self.folder / "rows.jsonl", [{"text": f"{i} " * 20} for i in range(1000)])
        words = ["train", "--model", self.model, "--data", rows, "--output", self.folder / "out", "--batch-size", 1000, "--steps", 1]
        process = self.group(160 * MIB).start([BINARY, *on_processor(words)])
        _, text = process.communicate(timeout=60)
        self.assertRegex(text, r"(?m)^warning: [^\n]*\b1[0-5]\d(\.\d)? MiB\b[^\n]*--max-memory \d+MiB would fit", text)

    def test_a_run_that_it_kills_is_resumed(self):
        flags = ["--rank", 3, "--dropout", 0.2, "--lr", 1e-2, "--batch-size", 3, "--steps", 400, "--save-every", 1]
        words = lambda output: ["train", "--model", self.model, "--data", self.data, "--output", self.folder / output, *flags]
        group = self.group(300 * MIB)
        process = group.start([BINARY, *on_processor(words("out"))], victim=True)
        checkpoints = self.folder / "out/checkpoints"
        while process.poll() is None and not list(checkpoints.glob("step-*")): time.sleep(0.01)
        hog = group.start([sys.executable, "-c", f"bytearray({320 * MIB})"])
        process.communicate(timeout=60)
        hog.communicate(timeout=60)
        self.assertEqual(-9, process.returncode)
        self.assertFalse((self.folder / "out/adapter_model.safetensors").exists())
        self.ok(*words("out"), "--resume")
        self.ok(*words("whole"))
        of = lambda output: (self.folder / output / "adapter_model.safetensors").read_bytes()
        self.assertEqual(of("whole"), of("out"))
