// vocab.json + merges.txt, as GPT-2 and OPT have them.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "data/tokenizer/tokenizer_read.h"
#include "data/unicode.h"
#include "engine/error.h"
#include "io/file_content.h"
#include "io/mapped_file.h"

namespace loragrad {
namespace {

void read_merges_file(const std::string& path, Bpe& model) {
  std::string text = read_file(path);
  refuse_other_content(path, text, Content::text);
  if (std::size_t at = invalid_utf8(text); at != std::string::npos)
    throw InputError(fmt::format("{}: byte {}: expected UTF-8", path, at + 1));
  model.merges = MergeTable(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1);
  std::uint32_t rank = 0;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    std::string place = fmt::format("{}:{}", path, number);
    std::size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      throw InputError(fmt::format("{}: expected two tokens with a space between, found \"{}\"", place, escaped(line)));
    add_merge(model, line.substr(0, space), line.substr(space + 1), rank++, place);
  }
}

}  // namespace

TokenizerParts read_vocab_and_merges(const std::string& folder) {
  std::filesystem::path base(folder);
  std::string merges = (base / "merges.txt").string();
  TokenizerParts parts;
  parts.source = (base / "vocab.json").string();
  parts.files = {parts.source, merges};
  Json vocabulary = read_json_file(parts.source);
  read_vocabulary(JsonRef(vocabulary, parts.source), parts.model.vocabulary);
  read_merges_file(merges, parts.model);
  parts.decoder.emplace_back();
  return parts;
}

}  // namespace loragrad
