"""A conversation in the terminal."""
import json, os, pty, select, signal, subprocess, time

from support import BINARY, run, write_rows
from test_conversations import ChatTest


class Chat(ChatTest):
    def talk(self, *lines, flags=()):
        return run("chat", "--device", "cpu", "--model", self.chat_model, "--max-tokens", 4, *flags, stdin="".join(line + "\n" for line in lines))

    def answer(self, *messages, flags=()):
        data = write_rows(self.folder / "rows.jsonl", [{"messages": list(messages)}])
        return json.loads(self.ok("generate", "--model", self.chat_model, "--data", data, "--max-tokens", 4, *flags))["text"]

    def test_a_conversation_from_a_pipe(self):
        user = lambda text: {"role": "user", "content": text}
        bot = lambda text: {"role": "assistant", "content": text}
        first = self.answer(user("Ann"))
        second = self.answer(user("Ann"), bot(first), user("Kim"))
        system = {"role": "system", "content": "be brief"}
        done = self.talk("Ann", "Kim", "/undo", "Kim", "/undo", "/undo", "/system be brief", "Ann", "/quit", "never")
        self.assertEqual(0, done.returncode, done.stderr)
        expected = [first, second, "taken back: Kim", second, "taken back: Kim", "taken back: Ann", "system: be brief", self.answer(system, user("Ann"))]
        self.assertEqual("\n".join(expected) + "\n", done.stdout)
        done = self.talk("/undo", "/nothing", "/adapter nobody", "Ann")
        self.assertEqual((0, first + "\n"), (done.returncode, done.stdout))
        for message in ("/undo: expected a turn to take back", "/nothing: expected /adapter", "/adapter: expected"):
            self.assertIn("error: " + message, done.stderr)

    def test_what_is_read_once_says_the_same(self):
        """The chat keeps keys from turn to turn; generate reads each conversation whole."""
        user, bot = (lambda text, role=role: {"role": role, "content": text} for role in ("user", "assistant"))
        flags, base = ("--adapter", f"x={self.adapter}"), ()
        said, lines, expected, last = [], [], [], flags
        for text, adapter in (("a", flags), ("K", flags), ("the", base), ("h", flags)):
            if adapter != last: lines.append("/adapter " + ("x" if adapter else "none")), expected.append("adapter: " + ("x" if adapter else "none: the base alone"))
            last = adapter
            said.append(user(text))
            lines.append(text)
            expected.append(self.answer(*said, flags=("--adapter", self.adapter) if adapter else ()))
            said.append(bot(expected[-1]))
        done = self.talk(*lines, "/undo", "/system b", "Z", flags=flags)
        expected += ["taken back: h", "system: b", self.answer({"role": "system", "content": "b"}, *said[:-2], user("Z"), flags=("--adapter", self.adapter))]
        self.assertEqual(("\n".join(expected) + "\n", ""), (done.stdout, "".join(line for line in done.stderr.splitlines() if line.startswith("error"))))

    def test_adapters_change_without_a_new_base(self):
        user = {"role": "user", "content": "Ann"}
        plain, adapted = self.answer(user), self.answer(user, flags=("--adapter", self.adapter))
        half = self.answer(user, flags=("--adapter", f"{self.adapter}:0.5"))
        done = self.talk("Ann", "/undo", "/adapter none", "Ann", "/undo", "/adapter x:0.5", "Ann", "/adapter", flags=("--adapter", f"x={self.adapter}"))
        expected = [adapted, "taken back: Ann", "adapter: none: the base alone", plain, "taken back: Ann", "adapter: x (0.5)", half,
                    f"* x  {self.adapter}", "active: x (0.5)"]
        self.assertEqual("\n".join(expected) + "\n", done.stdout)
        done = self.talk(f"/adapter {self.adapter}", "Ann")
        self.assertEqual(f"adapter: adapter\n{adapted}\n", done.stdout)

    def test_an_adapter_that_changes_the_base_is_refused(self):
        adapter = self.folder / "with_norm"
        self.ok("train", "--model", self.chat_model, "--data", self.data, "--output", adapter, "--rank", 2, "--modules-to-save", "norm", "--steps", 1)
        said = f"{adapter}: expected an adapter of linear maps alone, found a parameter of the base, model.layers.0.input_layernorm.weight"
        self.fails(2, "chat", "--model", self.chat_model, "--adapter", adapter, says=said)
        done = self.talk(f"/adapter {adapter}", "Ann")
        self.assertEqual((0, self.answer({"role": "user", "content": "Ann"}) + "\n"), (done.returncode, done.stdout))
        self.assertIn(said, done.stderr)

    def test_a_bad_line_leaves_the_conversation(self):
        """Files that are not there too, and a system message that the template has no place for."""
        first = self.answer({"role": "user", "content": "Ann"})
        (self.folder / "empty").mkdir()
        done = self.talk("/adapter " + str(self.folder / "empty"), "/adapter " + str(self.folder / "nowhere"), "Ann")
        self.assertEqual((0, first + "\n"), (done.returncode, done.stdout), done.stderr)
        self.assertEqual(2, done.stderr.count("error: "), done.stderr)
        template = self.folder / "no_system.jinja"
        template.write_text("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no place for a system message') }}{% endif %}{{ m.content }}\n{% endfor %}")
        flags = ("--chat-template", template)
        alone = self.answer({"role": "user", "content": "Ann"}, flags=flags)
        done = self.talk("/system Be kind", "Ann", "/system", flags=flags)
        self.assertEqual((0, alone + "\nsystem: none\n"), (done.returncode, done.stdout), done.stderr)
        self.assertIn("no place for a system message", done.stderr)

    def test_in_a_terminal_ctrl_c_does_not_end_the_program(self):
        leader, follower = pty.openpty()
        program = subprocess.Popen([BINARY, "chat", "--device", "cpu", "--model", str(self.chat_model)], stdin=follower, stdout=follower,
                                   stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm"})
        os.close(follower)
        self.addCleanup(program.kill)
        seen = ""

        def until(text):
            nonlocal seen
            end = time.monotonic() + 60
            while text not in seen and time.monotonic() < end:
                if select.select([leader], [], [], 1)[0]: seen += os.read(leader, 4096).decode(errors="replace")
            before, found, seen = seen.partition(text)
            self.assertTrue(found, before)
            return before

        until("> ")
        program.send_signal(signal.SIGINT)
        until("(/quit or Ctrl-D leaves)")
        until("> ")
        os.write(leader, b"/system x\n")
        until("system: x")
        until("> ")
        os.write(leader, b"\x04")
        self.assertEqual(0, program.wait(60))
        os.close(leader)
        program.stderr.close()
