#include "app/terminal/text_stream.h"

#include <algorithm>

#include "io/utf8.h"

namespace loragrad {

std::string added_text(const std::string& before, const std::string& all) {
  auto [end, differs] = std::mismatch(before.begin(), before.end(), all.begin(), all.end());
  std::size_t common = static_cast<std::size_t>(end - before.begin());
  // Not within a character.
  while (common > 0 && common < all.size() && continues_character(all[common])) --common;
  return all.substr(common);
}

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<TokenId> prompt)
    : tokenizer_(tokenizer), ids_(std::move(prompt)), given_(ids_.size()) {}

std::string TextStream::rest() const {
  std::string before = tokenizer_.decode({ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(given_)});
  return added_text(before, tokenizer_.decode(ids_));
}

std::string TextStream::push(TokenId id) {
  ids_.push_back(id);
  std::string text = rest();
  if (text.empty() || text.ends_with("\xef\xbf\xbd")) return "";
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(given_));
  given_ = ids_.size();
  return text;
}

std::string TextStream::finish() const { return rest(); }

}  // namespace loragrad
