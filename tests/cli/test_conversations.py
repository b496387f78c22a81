"""Conversations: as training data, as prompts and as tokens."""
import json

from support import CliTest, write_rows

TEMPLATE = ("{% for m in messages %}{{ '<' + m.role + '>' + m.content + '\\n' if m.role != 'assistant' else '<bot>' + m.content + eos_token }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<bot>' }}{% endif %}")
TURNS = [{"role": "user", "content": "Zoë?"}, {"role": "assistant", "content": "saw"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]


class ChatTest(CliTest):
    """The sample model, with a chat template."""
    def setUp(self):
        super().setUp()
        self.chat_model = self.copy_model()
        (self.chat_model / "chat_template.jinja").write_text(TEMPLATE)
        config = self.chat_model / "tokenizer_config.json"
        known = json.loads(config.read_text()) if config.exists() else {}
        config.write_text(json.dumps(known | {"eos_token": "<|endoftext|>"}))


class Conversations(ChatTest):
    def test_tokenize_chat_gives_text_ids_and_what_is_supervised(self):
        rows = [{"messages": TURNS}, {"messages": TURNS[:1], "add_generation_prompt": True}]
        lines = [json.loads(line) for line in self.ok("tokenize", "--model", self.chat_model, "--chat", stdin="".join(json.dumps(r) + "\n" for r in rows)).splitlines()]
        text = "<user>Zoë?\n<bot>saw<|endoftext|><user>b\n<bot>c<|endoftext|>"
        self.assertEqual(text, lines[0]["text"])
        self.assertEqual([*"<user>Zoë?\n<bot>saw".encode(), 256, *b"<user>b\n<bot>c", 256], lines[0]["ids"])
        self.assertEqual(["saw<|endoftext|>", "c<|endoftext|>"], [text[begin:end] for begin, end in lines[0]["supervised"]])
        self.assertEqual(("<user>Zoë?\n<bot>", False), (lines[1]["text"], "supervised" in lines[1]))
        last = json.loads(self.ok("tokenize", "--model", self.chat_model, "--chat", "--last-turn-only", stdin=json.dumps(rows[0]) + "\n"))
        self.assertEqual(["c<|endoftext|>"], [text[begin:end] for begin, end in last["supervised"]])
        dated = self.folder / "dated.jinja"
        dated.write_text("{{ strftime_now('%d %B %Y') }}{{ messages[1].content }}.")
        for flags, day in (((), "26 July 2024"), (("--date", "2023-02-09"), "09 February 2023")):
            out = json.loads(self.ok("tokenize", "--model", self.chat_model, "--chat", "--chat-template", dated, *flags, stdin=json.dumps({"messages": TURNS[:2]})))
            self.assertEqual(day + "saw.", out["text"])

    def test_conversations_are_training_data(self):
        rows = [{"messages": TURNS}] * 3
        data = write_rows(self.folder / "chat.jsonl", rows)
        sample = self.json("check", "--model", self.chat_model, "--data", data, "--rank", 4)["sample"]
        said = [bytes(i for i in span["ids"] if i < 256).decode() for span in sample["spans"] if span["supervised"]]
        self.assertEqual(["saw", "c"], said)
        facts = self.json("check", "--model", self.chat_model, "--data", data, "--rank", 4, "--last-turn-only")
        self.assertEqual(3 * 2, facts["supervised_tokens"])
        result = self.json("train", "--model", self.chat_model, "--data", data, "--output", self.folder / "out", "--rank", 4, "--steps", 2)
        self.assertTrue(result)
        alpaca = write_rows(self.folder / "alpaca.jsonl", [{"instruction": "a", "input": "b", "output": "c"}])
        self.assertEqual(2, self.json("eval", "--model", self.chat_model, "--data", alpaca)["supervised_tokens"])

    def test_what_is_wrong_with_them_is_said(self):
        data = write_rows(self.folder / "chat.jsonl", [{"messages": TURNS}])
        self.fails(3, "eval", "--model", self.model, "--data", data, says="expected a chat template")
        bad = self.folder / "bad.jinja"
        bad.write_text("{% for m in messages %}{{ m.content }} {% endfor %}")
        self.fails(3, "eval", "--model", self.chat_model, "--data", data, "--chat-template", bad, says=f"{data}:1: messages: turn 2: expected a chat template ({bad}) with an end of the turn behind its content, found none")
        bad.write_text("a\n{{ raise_exception('no') }}")
        self.fails(3, "eval", "--model", self.chat_model, "--data", data, "--chat-template", bad, says=f"{data}:1: messages: {bad}: line 2: no")
        bad.write_text("{% if %}")
        self.fails(3, "eval", "--model", self.chat_model, "--data", data, "--chat-template", bad, says=f"{bad}: line 1: expected an expression, found %}}")
        self.fails(2, "eval", "--model", self.chat_model, "--data", data, "--date", "2024-02-30", says='--date: expected a day such as 2024-07-26, found "2024-02-30"')
        self.fails(2, "tokenize", "--model", self.chat_model, "--chat-template", bad, says="--chat-template: expected --chat beside it")
        self.fails(2, "generate", "--model", self.chat_model, "--prompt", "a", "--date", "2024-02-02", says="--date: expected --data beside it")

    def test_generate_takes_messages(self):
        text = "<user>Zoë?\n<bot>"
        data = write_rows(self.folder / "rows.jsonl", [{"messages": TURNS[:1]}, {"prompt": text}])
        rows = [json.loads(line) for line in self.ok("generate", "--model", self.chat_model, "--data", data, "--max-tokens", 3).splitlines()]
        self.assertEqual(list(text.encode()), rows[0]["prompt_ids"])
        self.assertEqual(rows[1]["ids"], rows[0]["ids"])
