#include <iostream>

#include "app/commands.h"
#include "app/console.h"
#include "app/flags.h"
#include "app/inputs.h"
#include "engine/error.h"
#include "io/file_content.h"

namespace loragrad {

int run_tokenize(const Words& words) {
  Flags flags(
      "tokenize",
      "Reads a JSON string per line on stdin; writes {\"ids\": [...], \"decoded\": \"...\"} per line on stdout.");
  std::string model;
  bool no_special = false, json = false;
  flags.text("model", model, "DIR", "a model folder with a tokenizer");
  flags.toggle("no-special", no_special, "add no special tokens (BOS and the like)");
  flags.toggle("json", json, "as ever: the output is JSON anyway");
  flags.require({"model"});
  if (!flags.parse(words)) return print(flags.help()), 0;
  model = needed_folder(model, "");
  Tokenizer tokenizer = open_tokenizer(model);

  std::string line;
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    std::string where = "stdin:" + std::to_string(number);
    if (number == 1 && !line.empty()) refuse_other_content(where, line, Content::json);
    Json text = parse_json(line, where);
    std::vector<TokenId> ids;
    try {
      ids = tokenizer.encode(JsonRef(text, where).string(), !no_special);
    } catch (const InputError& error) {
      std::string message = error.what();
      throw message.starts_with(where) ? error : InputError(where + ": " + message);
    }
    Json::Array numbers(ids.begin(), ids.end());
    print_json(Json::Object{{"ids", std::move(numbers)}, {"decoded", tokenizer.decode(ids)}});
  }
  if (std::cin.bad()) throw IoError("stdin: cannot read");
  return 0;
}

}  // namespace loragrad
