"""Where adapters start, which modules get one, and how fast B learns: --init, --layers, --exclude, --loraplus-ratio."""
import json

from support import CliTest, floats, read_safetensors, run

PREFIX = "base_model.model."


class LoraStarts(CliTest):
    def words(self, output, *more):
        return ["train", "--model", self.model, "--data", self.data, "--output", output, "--rank", 4, "--alpha", 12, "--dropout", 0, *more]

    def modules(self, adapter):
        names = read_safetensors(adapter / "adapter_model.safetensors")
        return sorted(name.removeprefix(PREFIX).removesuffix(".lora_A.weight") for name in names if name.endswith(".lora_A.weight"))

    def test_every_start_begins_at_the_base_and_is_saved_for_it(self):
        base = self.loss("--model", self.model)
        for init, rank in (("orthogonal", 4), ("pissa", 8), ("olora", 8)):
            still, moved = self.folder / f"{init}-still", self.folder / init
            self.ok(*self.words(still, "--init", init, "--lr", 0, "--steps", 1))
            self.assertAlmostEqual(base, self.loss("--model", self.model, "--adapter", still), places=5)
            self.ok(*self.words(moved, "--init", init, "--lr", 2e-3, "--steps", 20))
            self.assertLess(self.loss("--model", self.model, "--adapter", moved), base - 1e-3)
            config = json.loads((moved / "adapter_config.json").read_text())
            self.assertEqual((rank, 3 * rank, "orthogonal" if init == "orthogonal" else True), (config["r"], config["lora_alpha"], config["init_lora_weights"]))
            report = self.json("merge", "--model", self.model, "--adapter", moved, "--output", self.folder / f"{init}-merged")
            self.assertLess(report["largest_logit_difference"], 1e-4)
            self.ok("train", "--model", self.model, "--data", self.data, "--init-adapter", moved, "--output", self.folder / f"{init}-on", "--steps", 1)

    def test_layers_and_exclude_leave_modules_out(self):
        adapter = self.folder / "adapter"
        self.ok(*self.words(adapter, "--steps", 1, "--target", "all-linear", "--layers", "1", "--exclude", "k_proj,up_proj"))
        names = ["mlp.down_proj", "mlp.gate_proj", "self_attn.o_proj", "self_attn.q_proj", "self_attn.v_proj"]
        self.assertEqual([f"model.layers.1.{name}" for name in names], self.modules(adapter))
        config = json.loads((adapter / "adapter_config.json").read_text())
        self.assertEqual(self.modules(adapter), config["target_modules"])
        self.assertEqual((None, None), (config["layers_to_transform"], config["exclude_modules"]))
        self.assertEqual(2, self.json("check", "--model", self.model, "--data", self.data, "--layers", "0-1")["modules"]["q_proj"])
        words = self.words(self.folder / "o", "--steps", 1)
        self.fails(3, *words, "--layers", "0,7", says=("--layers", "7"))
        self.fails(2, *words, "--layers", "3-1", says=("--layers", "3-1"))
        self.fails(2, *words, "--layers", "0,", says=("--layers", "0,"))
        self.fails(3, *words, "--exclude", "q_prj", says=("--exclude", "q_prj", "q_proj"))
        self.fails(2, *words, "--exclude", "q_proj,v_proj", says=("--exclude",))
        for flag in ("--target", "--exclude", "--modules-to-save"):
            for text in (",", "", "regex:"):
                with self.subTest((flag, text)): self.assertRegex(self.fails(2, *words, flag, text), rf"^error: {flag}: expected ")
        for flag in ("--target", "--exclude"): self.assertRegex(self.fails(2, *words, flag, "regex:("), rf"^error: {flag}: expected ")

    def test_what_could_not_train_is_refused_by_its_flag(self):
        words = self.words(self.folder / "o", "--steps", 1)
        for flags in (("--alpha", 0), ("--alpha-pattern", "q_proj=0"), ("--loraplus-ratio", 0), ("--batch-size", 2_000_000)):
            with self.subTest(flags): self.assertRegex(self.fails(2, *words, *flags), rf"^error: {flags[0]}[: ]")
        # Nothing of a narrow model's features may be left: the proof waits for a step with some.
        words = self.words(self.folder / "dropped", "--steps", 3)
        words[words.index("--dropout") + 1] = 0.999
        self.ok(*words)

    def test_lora_plus_moves_b_further_and_a_as_far(self):
        # The first step's update is the learning rate in size, whatever the gradient; A has none yet.
        moved = {}
        for ratio in (1, 4):
            self.ok(*self.words(self.folder / str(ratio), "--steps", 1, "--lr", 1e-3, "--schedule", "constant", "--loraplus-ratio", ratio))
            tensors = read_safetensors(self.folder / str(ratio) / "adapter_model.safetensors")
            moved[ratio] = {end: max(abs(x) for name in tensors if name.endswith(end) for x in floats(tensors[name][2])) for end in ("lora_A.weight", "lora_B.weight")}
        self.assertAlmostEqual(4, moved[4]["lora_B.weight"] / moved[1]["lora_B.weight"], places=2)
        self.assertEqual(moved[1]["lora_A.weight"], moved[4]["lora_A.weight"])
        self.fails(2, *self.words(self.folder / "o")[:7], "--full", "--loraplus-ratio", 2, says=("--loraplus-ratio", "--full"))
