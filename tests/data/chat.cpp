// Conversations as text, and what of it is supervised.
#include "data/chat/chat_template.h"
#include "data/dataset.h"
#include "io/json.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// A folder with a tokenizer that has <|im_start|>, <tool_call> and <|endoftext|>, which ends a text.
struct ChatFolder {
  explicit ChatFolder(const std::string& source, const std::string& bos = "<|im_start|>",
                      const std::string& eos = "<|endoftext|>") {
    put(folder / "tokenizer.json", get("tests/data/golden/qwen2.json"));
    put(folder / "tokenizer_config.json", Json(Json::Object{{"bos_token", bos}, {"eos_token", eos}}).dump());
    if (!source.empty()) put(folder / "chat_template.jinja", source);
    tokenizer = Tokenizer::from_folder(folder.path());
  }
  ChatTemplate chat() const { return ChatTemplate::open(folder.path(), {}, *tokenizer, {}); }
  /// What is supervised of a conversation, with " | " between.
  std::string supervised(const std::string& messages, bool last_turn_only = false) const {
    Json json = parse_json("{\"messages\": " + messages + "}", "d");
    SupervisedText text = chat().supervise(conversation_of_messages(JsonRef(json, "d")), last_turn_only, "d");
    std::string out;
    for (const TextSpan& span : text.spans)
      out += (out.empty() ? "" : " | ") + text.text.substr(span.begin, span.end - span.begin);
    return out;
  }
  Dataset read(const std::string& rows, bool last_turn_only = false) const {
    put(folder / "d.jsonl", rows);
    DatasetOptions options{.vocab_size = tokenizer->vocab_size(), .last_turn_only = last_turn_only};
    options.chat = [this] { return chat(); };
    return load_dataset(folder / "d.jsonl", &*tokenizer, options);
  }
  std::string refusal(const std::string& rows) const {
    std::string message = message_of<InputError>([&] { read(rows); }), path = folder / "d.jsonl";
    REQUIRE(message.starts_with(path));
    return message.substr(path.size());
  }
  TempFolder folder;
  std::optional<Tokenizer> tokenizer;
};

const std::string chatml =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const std::string two_turns =
    R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b é"}, {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"}])";

std::string one_line(std::string text) {
  std::erase(text, '\n');
  return text;
}

}  // namespace

TEST_CASE("an assistant's turn is supervised with its end, and without what stands behind that") {
  CHECK(ChatFolder(chatml).supervised(two_turns) == "b é<|im_end|> | d<|im_end|>");
  CHECK(ChatFolder(chatml).supervised(two_turns, true) == "d<|im_end|>");
  CHECK(ChatFolder(chatml).supervised(R"([{"role": "assistant", "content": ""}])") == "<|im_end|>");
  CHECK(ChatFolder(chatml).supervised(R"([{"role": "user", "content": "a"}])").empty());
  // The end token of the texts, and content that is trimmed.
  ChatFolder trimmed(
      "{% for m in messages %}{{ '[I] ' + m.content | trim + ' [/I]' if m.role == 'user' else ' ' ~ m.content | trim + "
      "eos_token }}{% endfor %}");
  CHECK(trimmed.supervised(R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "\n b\n"},
                               {"role": "user", "content": "<|endoftext|>"}, {"role": "assistant", "content": "d"}])") ==
        " b<|endoftext|> |  d<|endoftext|>");
  // Only the last turn has the end of the text too.
  ChatFolder phi(
      "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>\n' }}{% endfor %}{{ eos_token }}");
  CHECK(phi.supervised(two_turns) == "b é<|end|> | d<|end|>\n<|endoftext|>");
}

TEST_CASE("of tokens side by side, the one that ends every turn is its end") {
  const char* start = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + ";
  ChatFolder known(std::string(start) + "'<tool_call>' }}{% endfor %}<|endoftext|>");
  CHECK(known.supervised(two_turns) == "b é<tool_call> | d<tool_call><|endoftext|>");
  // A word that is no token, and that another begins like, is no end.
  ChatFolder unknown(std::string(start) + "'' }}{% endfor %}<|endoftext|>");
  CHECK_THROWS_WITH_AS(unknown.supervised(two_turns), doctest::Contains("an end of the turn behind its content"),
                       InputError);
}

TEST_CASE("what stands between prompt and content is supervised, or where the prompt is another, not") {
  // As templates that write an empty reasoning into the last turn do.
  ChatFolder thinks(
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if loop.last and m.role == 'assistant' %}"
      "<think></think>{% endif %}{{ m.content.split('</t>')[-1] + '<|im_end|>\n' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}");
  CHECK(thinks.supervised(R"([{"role": "user", "content": "a"}, {"role": "assistant", "content": "why</t>b"},
                              {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}])") ==
        "b<|im_end|> | <think></think>d<|im_end|>");
  ChatFolder other(
      "{% for m in messages %}{{ m.role + ':' + m.content + '<|endoftext|>' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ 'assistant:<think>' }}{% endif %}");
  CHECK(other.supervised(two_turns) == "b é<|endoftext|> | d<|endoftext|>");
}

TEST_CASE("a turn of calls alone begins where the prompt ends, too") {
  ChatFolder calls(
      "{% for m in messages %}{{ '<|im_start|>' + m.role }}{{ '\n' + m.content if m.content }}"
      "{% for c in m.tool_calls %}{{ '\n<tool_call>' + c.name }}{% endfor %}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}");
  CHECK(
      calls.supervised(R"([{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"name": "f"}]}])") ==
      "<tool_call>f<|im_end|>");
}

TEST_CASE("a template's own marks are followed") {
  std::string marked =
      "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content + '!' }}"
      "{% endgeneration %}{% else %}{{ m.content + '?' }}{% endif %}{% endfor %}";
  CHECK(ChatFolder(marked).supervised(two_turns) == "b é! | d!");
  CHECK(ChatFolder(marked).supervised(two_turns, true) == "d!");
  // Where their places are lost, the turns are found as without them.
  ChatFolder lost("{% macro all() %}" + marked + "{% endmacro %}{{ all() }}");
  CHECK(lost.supervised(two_turns, true) == "d!");
  ChatFolder none(
      "{% for m in messages %}{{ m.content }}.{% endfor %}{% if false %}{% generation %}{% endgeneration %}{% endif "
      "%}");
  CHECK_THROWS_WITH_AS(none.supervised(two_turns), doctest::Contains("turn 2: expected a chat template ("), InputError);
}

TEST_CASE("a template that hides a turn is refused, with row and turn") {
  auto refused = [](const std::string& source, const char* message) {
    CAPTURE(source);
    ChatFolder folder(source);
    std::string said = folder.refusal("{\"messages\": " + one_line(two_turns) + "}\n");
    CHECK(contains(said, ":1: messages: turn 2: expected a chat template (" + (folder.folder / "chat_template.jinja")));
    CHECK(contains(said, message));
  };
  refused("{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}", "an end of the turn");
  refused("{% for m in messages %}{{ m.content + m.content }}.{% endfor %}",
          "its content in the text once, found it twice");
  refused("{% for m in messages %}{{ m.role }}.{% endfor %}", "its content in the text, found it nowhere");
  refused("{% for m in messages %}{{ m.content }}{{ m.content | length }}{% endfor %}", "one text behind it");
  refused(
      "{% for m in messages %}{{ m.content | length }} {{ m.content }}.{% endfor %}{% if add_generation_prompt %}bot{% "
      "endif %}",
      "one text before it");
  ChatFolder raises("{{ raise_exception('roles: ' + messages[1].role) }}");
  CHECK(raises.refusal("{\"messages\": " + one_line(two_turns) + "}\n") ==
        ":1: messages: " + (raises.folder / "chat_template.jinja") + ": line 1: roles: assistant");
}

TEST_CASE("rows of conversations become tokens, of which those of the assistant's turns are supervised") {
  ChatFolder folder(chatml);
  Dataset data = folder.read("{\"messages\": " + one_line(two_turns) + "}\n");
  CHECK(data.format == "messages");
  const Row& row = data.rows[0];
  std::string all =
      "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb é<|im_end|>\n<|im_start|>user\nc<|im_end|>\n"
      "<|im_start|>assistant\nd<|im_end|>\n";
  CHECK(row.input_ids == folder.tokenizer->encode(all, false));
  std::vector<TokenId> taught;
  for (std::size_t i = 0; i < row.labels.size(); ++i)
    if (row.labels[i] != no_label) taught.push_back(row.labels[i]);
  CHECK(folder.tokenizer->decode(taught, false) == "b é<|im_end|>d<|im_end|>");
  CHECK(data.supervised_tokens == static_cast<std::int64_t>(taught.size()));
}

TEST_CASE("the shapes of ShareGPT and Alpaca are conversations too") {
  ChatFolder folder(chatml);
  auto text = [&](const std::string& row) {
    Dataset data = folder.read(row);
    return data.format + ": " + folder.tokenizer->decode(data.rows[0].input_ids, false);
  };
  const std::string both = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n";
  CHECK(text(R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})") ==
        "conversations: " + both);
  CHECK(text(R"({"conversations": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})") ==
        "conversations: " + both);
  CHECK(text(R"({"instruction": "a", "input": "", "output": "b"})") == "instruction/output: " + both);
  CHECK(text(R"({"instruction": "a", "output": "b"})") == "instruction/output: " + both);
  CHECK(text(R"({"instruction": "a", "input": "i", "output": "b"})") ==
        "instruction/output: <|im_start|>user\na\n\ni<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n");
  CHECK(folder.refusal(R"({"conversations": [{"from": "bot", "value": "a"}]})") ==
        ":1: conversations[0].from: expected human, user, gpt, assistant or system, found \"bot\"");
  CHECK(folder.refusal(R"({"messages": [{"content": "a"}]})").starts_with(":1: messages[0].role: expected"));
  CHECK(folder.refusal(R"({"messages": []})").starts_with(":1: messages: expected at least one message"));
  CHECK(folder.refusal(R"({"messages": [], "completion": "a"})").find("not of prompt/completion and messages") !=
        std::string::npos);
  CHECK(folder.read(R"({"messages": [{"role": "assistant", "content": "a"}], "prompt": "x"})")
            .unread_columns.count("prompt") == 1);
}

TEST_CASE("a template sees tools, special tokens, the day, and messages as transformers hands them on") {
  ChatFolder folder(
      "{{ bos_token }}{{ unk_token is defined }}{{ tools | tojson }}{{ messages[0].thinking }}{{ more }}"
      "{{ messages[0].gone is defined }}{{ strftime_now('%Y') }}{{ messages[0].content }}.");
  auto text = [&](const std::string& row) {
    Json json = parse_json(row, "d");
    return folder.chat().text(conversation_of_messages(JsonRef(json, "d")), false, "d");
  };
  std::string message = R"("messages": [{"role": "user", "content": "a", "reasoning": "r", "gone": null}])";
  CHECK(text("{" + message + R"(, "tools": [{"n": 1}], "chat_template_kwargs": {"more": 5}})") ==
        R"(<|im_start|>False[{"n": 1}]r5False2024a.)");
  CHECK(text("{" + message + R"(, "tools": "[{\"n\": 2}]"})") == R"(<|im_start|>False[{"n": 2}]rFalse2024a.)");
  CHECK(text("{" + message + "}") == "<|im_start|>FalsenullrFalse2024a.");
}

TEST_CASE("chat_template.jinja wins over tokenizer_config.json, and --chat-template over both") {
  ChatFolder folder("");
  auto text = [&](std::optional<std::string> file = {}) {
    Conversation conversation{{Json(Json::Object{{"role", "user"}, {"content", "a"}})}};
    return ChatTemplate::open(folder.folder.path(), file, *folder.tokenizer, {}).text(conversation, false, "d");
  };
  std::string config = folder.folder / "tokenizer_config.json";
  CHECK_THROWS_WITH_AS(text(),
                       doctest::Contains("expected a chat template (chat_template.jinja, or chat_template in "
                                         "tokenizer_config.json), found none: --chat-template FILE gives one"),
                       InputError);
  put(config, R"({"chat_template": "config"})");
  CHECK(text() == "config");
  put(config, R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  CHECK(text() == "d");
  put(config, R"({"chat_template": [{"name": "tool_use", "template": "t"}]})");
  CHECK_THROWS_WITH_AS(text(), doctest::Contains("chat_template: expected a template named default, found tool_use"),
                       InputError);
  put(folder.folder / "chat_template.jinja", "own");
  CHECK(text() == "own");
  put(folder.folder / "given.jinja", "given");
  CHECK(text(folder.folder / "given.jinja") == "given");
}

TEST_CASE("published templates: what is supervised lies within what TRL marks") {
  std::string path = shared("golden/chat/golden.json");
  if (path.empty()) return;
  Json file = read_json_file(path);
  int found = 0, refused = 0;
  for (const auto& [name, each] : JsonRef(file, "golden.json").members()) {
    ChatFolder folder(get(shared("data/chat-templates/" + name + ".jinja")), "<s>", "</s>");
    ChatTemplate chat = folder.chat();
    for (const JsonRef& row : each.at("cases").elements()) {
      auto marks = row.find("spans");
      if (!marks || marks->size() == 0) continue;
      const std::string& family = name;  // as clang 14 wants it for CAPTURE
      CAPTURE(family);
      CAPTURE(row.json().dump());
      SupervisedText text;
      try {
        text = chat.supervise(conversation_of_messages(row), false, "d");
      } catch (const InputError& error) {
        ++refused;
        continue;
      }
      ++found;
      CHECK(text.text == row.at("text").string());
      std::vector<bool> marked(text.text.size(), false);
      for (const JsonRef& mark : marks->elements()) {
        auto end = static_cast<std::size_t>(mark[1].integer(0, 1 << 30));
        for (std::size_t i = static_cast<std::size_t>(mark[0].integer(0, 1 << 30)), at = 0, character = 0;
             at < marked.size(); ++at) {
          character += at > 0 && (static_cast<unsigned char>(text.text[at]) & 0xc0) != 0x80;
          if (character >= i && character < end) marked[at] = true;
        }
      }
      CHECK(!text.spans.empty());
      for (const TextSpan& span : text.spans)
        for (std::size_t at = span.begin; at < span.end; ++at) REQUIRE(marked[at]);
    }
  }
  MESSAGE(found << " conversations found, " << refused << " refused");
  CHECK(found > 60);
  CHECK(refused <= 2);
}

TEST_CASE("a day is one of the calendar") {
  CHECK(day_of("2024-02-29")->day == 29);
  for (const char* text : {"2023-02-29", "2024-13-01", "24-01-01", "2024-1-1", "2024-01-01x", "", "2024/01/01"})
    CHECK(!day_of(text));
}
