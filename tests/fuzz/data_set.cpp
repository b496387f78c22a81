// A .jsonl file of any of the shapes.
#include "data/chat/chat_template.h"
#include "data/dataset.h"
#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  static const Tokenizer tokenizer = Tokenizer::bytes();
  static const std::string source =
      folder.write("t.jinja", "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>\n{% endfor %}");
  static const ChatTemplate chat = ChatTemplate::open(folder.path(), source, tokenizer, {});
  load_dataset(folder.write("rows.jsonl", input), &tokenizer,
               {.seq_len = 64, .eos = 256, .vocab_size = 260, .max_positions = 64, .chat = [] { return chat; }});
}
