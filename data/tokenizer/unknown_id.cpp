#include "data/tokenizer/unknown_id.h"

#include <fmt/format.h>

#include "io/json.h"

namespace loragrad {

UnknownId::UnknownId(TokenId unknown, std::int64_t size, const std::string& where)
    : InputError(
          fmt::format("{}: expected token ids below the model's vocabulary of {}, found {}", where, size, unknown)),
      id(unknown),
      vocab_size(size),
      place(where) {}

void expect_in_vocabulary(const std::vector<TokenId>& ids, std::int64_t vocab_size, const std::string& place) {
  for (TokenId id : ids)
    if (id >= vocab_size) throw UnknownId(id, vocab_size, place);
}

InputError blame_tokenizer(const Tokenizer& tokenizer, const UnknownId& error) {
  if (tokenizer.source().empty()) return error;
  return InputError(fmt::format("{}: \"{}\": expected an id below the model's vocab_size, {}, found {} (in {})",
                                tokenizer.source(), escaped(tokenizer.decode({error.id}, false)), error.vocab_size,
                                error.id, error.place));
}

void expect_in_vocabulary(const std::vector<TokenId>& ids, std::int64_t vocab_size, const std::string& place,
                          const Tokenizer& tokenizer) {
  try {
    expect_in_vocabulary(ids, vocab_size, place);
  } catch (const UnknownId& error) {
    throw blame_tokenizer(tokenizer, error);
  }
}

}  // namespace loragrad
