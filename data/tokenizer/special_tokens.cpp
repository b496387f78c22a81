#include "data/tokenizer/special_tokens.h"

#include <algorithm>
#include <set>

namespace loragrad {
namespace {

AddedToken settled(const NamedToken& named, bool special) {
  AddedToken token = named.token;
  token.special = named.text || token.special || special;
  if (!named.says_normalized) token.normalized = !token.special;
  return token;
}

}  // namespace

bool operator==(const NamedToken& a, const NamedToken& b) {
  const AddedToken &s = a.token, &t = b.token;
  return s.content == t.content && a.text == b.text && s.special == t.special && s.single_word == t.single_word &&
         s.lstrip == t.lstrip && s.rstrip == t.rstrip && a.says_normalized == b.says_normalized &&
         s.normalized == t.normalized;
}

void SpecialTokens::add_to(TokenAdder& adder, const TokenizerClass& type) const {
  std::vector<NamedToken> batch;
  std::set<std::string_view> declared, special;
  for (const auto& [id, token] : decoder) {
    batch.push_back(token);
    declared.insert(token.token.content);
  }
  // Of a token that is there already, the flags that came with it count.
  auto offer = [&](const NamedToken& token) {
    const std::string& content = token.token.content;
    if (adder.has(content) || declared.contains(content)) return;
    if (std::find(batch.begin(), batch.end(), token) == batch.end()) batch.push_back(token);
  };
  for (const auto& [key, token] : names) {
    offer(token);
    special.insert(token.token.content);
  }
  for (const NamedToken& token : extra) offer(token);

  std::vector<AddedToken> tokens;
  for (const NamedToken& token : batch) tokens.push_back(settled(token, special.contains(token.token.content)));
  adder.add(tokens);
  if (!type.resets_flags) return;
  std::vector<AddedToken> plain;
  auto reset = [&](const NamedToken& token) {
    plain.emplace_back().content = token.token.content;
    plain.back().special = true;
  };
  for (const auto& [key, token] : names) reset(token);
  for (const NamedToken& token : extra) reset(token);
  adder.add(plain);
}

std::optional<std::string> SpecialTokens::named(std::string_view key) const {
  for (const auto& [name, token] : names)
    if (name == key) return token.token.content;
  return std::nullopt;
}

}  // namespace loragrad
