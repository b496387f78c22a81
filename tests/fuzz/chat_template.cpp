// A chat template, and a conversation written by it.
#include "data/jinja/template.h"
#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Json messages =
      parse_json(R"([{"role": "system", "content": "be brief"}, {"role": "user", "content": "Zo\u00eb?"},
    {"role": "assistant", "content": "saw", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5}}}]}])",
                 "messages");
  jinja::Template source(input, "template");
  source.marks_generation();
  source.render({{"messages", messages}, {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"add_generation_prompt", true}},
                {}, {.steps = 20000, .bytes = 1 << 20, .depth = 100});
}
