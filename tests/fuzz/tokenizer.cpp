// tokenizer.json, and a text with it.
#include "data/tokenizer/tokenizer.h"
#include "tests/fuzz/target.h"

void loragrad::fuzz::read(std::string_view input) {
  static const Folder folder;
  Tokenizer tokenizer = Tokenizer::from_file(folder.write("tokenizer.json", input));
  for (std::string_view text : {"", "Hello  world's\n\tZo\xc3\xab 12345 <s>\xe4\xb8\xad", "\xff\xc3 a"})
    tokenizer.decode(tokenizer.encode(std::string(text), true), false);
}
