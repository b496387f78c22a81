"""--device without a GPU behind it."""
from support import CliTest, run


class Devices(CliTest):
    def commands(self):
        rows = ["--model", self.model, "--data", self.data]
        return {"train": [*rows, "--output", self.folder / "out", "--steps", 1], "check": rows, "eval": rows,
                "generate": ["--model", self.model, "--prompt", "Ann", "--max-tokens", 1],
                "merge": ["--model", self.model, "--adapter", self.adapter, "--output", self.folder / "out"],
                "pretrain": ["--config-json", self.samples / "config.json", "--data", self.data, "--output", self.folder / "out", "--steps", 1]}

    def test_words_that_are_no_device(self):
        for command, words in self.commands().items():
            for word in ("gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1000", "cuda0", "CPU", "auto ", ""):
                with self.subTest(command=command, word=word):
                    self.fails(2, command, *words, f"--device={word}", says=f'--device: expected auto, cpu, cuda or cuda:N, found "{word}"')

    def test_tf32_needs_a_gpu(self):
        for command, words in self.commands().items():
            if command == "merge": self.fails(2, command, *words, "--tf32", says="unknown flag --tf32")
            else: self.fails(2, command, *words, "--device", "cpu", "--tf32", says="--tf32: expected a GPU as --device, found the processor")

    def without_cuda(self):
        lack = self.json("inspect", "--devices")["why_no_gpu"] or ""
        if "built without CUDA" not in lack: self.skipTest("SKIPPED: this program was built with CUDA")
        return lack

    def test_a_program_without_cuda_says_so(self):
        lack = self.without_cuda()
        for command, words in self.commands().items():
            for device in ("cuda", "cuda:0", "cuda:1"):
                with self.subTest(command=command, device=device): self.fails(2, command, *words, "--device", device, says=lack)
        self.fails(2, "eval", *self.commands()["eval"], "--device", "auto", "--tf32", says=("--tf32", lack))

    def test_auto_is_then_the_processor_and_says_nothing(self):
        self.without_cuda()
        for device in (["--device", "auto"], ["--device", "cpu"]):
            done = run("eval", *self.commands()["eval"], *device)
            self.assertEqual((0, ""), (done.returncode, done.stderr))

    def test_inspect_lists_the_processor(self):
        facts = self.json("inspect", "--devices")
        self.assertEqual(["processor", "gpus", "why_no_gpu"], list(facts))
        self.assertEqual(["name", "threads", "instruction_set", "matrix_products", "memory_bytes", "available_bytes", "bf16"], list(facts["processor"]))
        self.assertIn(f"kernels: {facts['processor']['instruction_set']}\nmatrix products: {facts['processor']['matrix_products']}\n", self.ok("--version"))
        self.assertGreater(facts["processor"]["memory_bytes"], facts["processor"]["available_bytes"])
        lines = self.ok("inspect", "--devices").splitlines()
        self.assertTrue(lines[0].startswith("processor "))
        self.assertIn(f"  bf16{' ' * (lines[1].index(lines[1].split()[-1]) - 6)}{'yes' if facts['processor']['bf16'] else 'no'}", lines)

    def test_inspect_wants_a_path_or_the_devices(self):
        self.fails(2, "inspect", self.model, "--devices", says="PATH")
        self.fails(2, "inspect", says="PATH")
