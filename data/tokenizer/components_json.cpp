// Normalizers, pre-tokenizers and decoders of tokenizer.json.
#include <algorithm>
#include <limits>

#include "data/tokenizer/tokenizer_read.h"
#include "data/unicode.h"
#include "io/utf8.h"

namespace loragrad {

void expect_only_keys(const JsonRef& object, std::initializer_list<std::string_view> keys) {
  for (const auto& [key, value] : object.members()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    std::string known;
    for (std::string_view k : keys) known += (known.empty() ? "" : ", ") + std::string(k);
    value.fail("no such key (known here: " + known + ")");
  }
}

bool boolean_or(const JsonRef& object, std::string_view key, bool absent) {
  auto value = object.find(key);
  return value ? value->boolean() : absent;
}

namespace {

Pattern read_pattern(const JsonRef& json) {
  expect_only_keys(json, {"String", "Regex"});
  if (json.size() != 1) json.fail("an object with String or Regex");
  auto literal = json.find("String");
  JsonRef text = literal ? *literal : json.at("Regex");
  if (text.string().empty()) text.fail("a pattern that is not empty");
  if (literal) return Pattern::literal(text.string());
  return Pattern::regex(Regex(text.string(), text.where() + ": " + text.path()));
}

std::string read_character(const JsonRef& json) {
  const std::string& text = json.string();
  if (text.empty() || code_point_at(text, 0).size != text.size()) json.fail("one character");
  return text;
}

SplitBehavior read_behavior(const JsonRef& json) {
  const std::string& name = json.string();
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  json.fail("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

// replacement and prepend_scheme of a Metaspace pre-tokenizer or decoder; older files say add_prefix_space instead.
std::pair<std::string, PreTokenizer::Prepend> read_metaspace(const JsonRef& json) {
  expect_only_keys(json, {"type", "replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
  std::string replacement = read_character(json.at("replacement"));
  if (auto spelled = json.find("str_rep"); spelled && spelled->string() != replacement)
    spelled->fail("the same as replacement");
  boolean_or(json, "split", true);
  auto scheme = json.find("prepend_scheme");
  auto legacy = json.find("add_prefix_space");
  auto prepend = PreTokenizer::Prepend::always;
  if (scheme) {
    const std::string& name = scheme->string();
    if (name == "first") {
      prepend = PreTokenizer::Prepend::first;
    } else if (name == "never") {
      prepend = PreTokenizer::Prepend::never;
    } else if (name != "always") {
      scheme->fail("always, first or never");
    }
  }
  if (legacy && !legacy->boolean() && prepend != PreTokenizer::Prepend::never) {
    if (scheme) legacy->fail("true, as prepend_scheme is not \"never\"");
    prepend = PreTokenizer::Prepend::never;
  }
  return {replacement, prepend};
}

std::size_t read_count(const JsonRef& json) {
  return static_cast<std::size_t>(json.integer(0, std::numeric_limits<std::int32_t>::max()));
}

// Appends the steps of a component, or of each member of a Sequence.
template <class Step, class Read>
void read_steps(const JsonRef& json, std::string_view members, std::vector<Step>& steps, Read read) {
  const std::string& type = json.at("type").string();
  if (type != "Sequence") {
    steps.push_back(read(json, type));
    steps.back().where = json.where() + ": " + json.path();
    return;
  }
  expect_only_keys(json, {"type", members});
  for (const JsonRef& member : json.at(members).elements()) read_steps(member, members, steps, read);
}

Normalizer read_normalizer_step(const JsonRef& json, const std::string& type) {
  Normalizer step;
  constexpr std::pair<std::string_view, NormalForm> forms[] = {
      {"NFC", NormalForm::nfc}, {"NFD", NormalForm::nfd}, {"NFKC", NormalForm::nfkc}, {"NFKD", NormalForm::nfkd}};
  for (const auto& [name, form] : forms) {
    if (type != name) continue;
    expect_only_keys(json, {"type"});
    step.form = form;
    return step;
  }
  if (type == "Lowercase") {
    expect_only_keys(json, {"type"});
    step.kind = Normalizer::Kind::lowercase;
  } else if (type == "Prepend") {
    expect_only_keys(json, {"type", "prepend"});
    step.kind = Normalizer::Kind::prepend;
    step.content = json.at("prepend").string();
  } else if (type == "Replace") {
    expect_only_keys(json, {"type", "pattern", "content"});
    step.kind = Normalizer::Kind::replace;
    step.pattern = read_pattern(json.at("pattern"));
    step.content = json.at("content").string();
  } else if (type == "Strip") {
    expect_only_keys(json, {"type", "strip_left", "strip_right"});
    step.kind = Normalizer::Kind::strip;
    step.left = json.at("strip_left").boolean();
    step.right = json.at("strip_right").boolean();
  } else {
    json.at("type").fail("a supported normalizer (Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip)");
  }
  return step;
}

PreTokenizer read_pre_tokenizer_step(const JsonRef& json, const std::string& type) {
  PreTokenizer step;
  if (type == "ByteLevel") {
    expect_only_keys(json, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    boolean_or(json, "trim_offsets", true);  // offsets into the text; ids do not depend on it
    step.add_prefix_space = json.at("add_prefix_space").boolean();
    step.use_regex = boolean_or(json, "use_regex", true);
    if (step.use_regex) step.pattern = gpt2_pattern();
  } else if (type == "Split") {
    expect_only_keys(json, {"type", "pattern", "behavior", "invert"});
    step.kind = PreTokenizer::Kind::split;
    step.pattern = read_pattern(json.at("pattern"));
    step.behavior = read_behavior(json.at("behavior"));
    step.invert = boolean_or(json, "invert", false);
  } else if (type == "Digits") {
    expect_only_keys(json, {"type", "individual_digits"});
    step.kind = PreTokenizer::Kind::digits;
    step.individual = json.at("individual_digits").boolean();
  } else if (type == "Metaspace") {
    step.kind = PreTokenizer::Kind::metaspace;
    std::tie(step.replacement, step.prepend) = read_metaspace(json);
    step.split_words = boolean_or(json, "split", true);
  } else {
    json.at("type").fail("a supported pre-tokenizer (Sequence, ByteLevel, Split, Digits, Metaspace)");
  }
  return step;
}

DecodeStep read_decoder_step(const JsonRef& json, const std::string& type) {
  DecodeStep step;
  if (type == "ByteLevel") {
    expect_only_keys(json, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  } else if (type == "ByteFallback" || type == "Fuse") {
    expect_only_keys(json, {"type"});
    step.kind = type == "Fuse" ? DecodeStep::Kind::fuse : DecodeStep::Kind::byte_fallback;
  } else if (type == "Replace") {
    expect_only_keys(json, {"type", "pattern", "content"});
    step.kind = DecodeStep::Kind::replace;
    step.pattern = read_pattern(json.at("pattern"));
    step.content = json.at("content").string();
  } else if (type == "Strip") {
    expect_only_keys(json, {"type", "content", "start", "stop"});
    step.kind = DecodeStep::Kind::strip;
    step.content = read_character(json.at("content"));
    step.start = read_count(json.at("start"));
    step.stop = read_count(json.at("stop"));
  } else if (type == "Metaspace") {
    step.kind = DecodeStep::Kind::metaspace;
    auto [replacement, prepend] = read_metaspace(json);
    step.content = replacement;
    step.drop_first = prepend != PreTokenizer::Prepend::never;
  } else {
    json.at("type").fail("a supported decoder (Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace)");
  }
  return step;
}

}  // namespace

std::vector<Normalizer> read_normalizer(const JsonRef& json) {
  std::vector<Normalizer> steps;
  read_steps(json, "normalizers", steps, read_normalizer_step);
  return steps;
}

std::vector<PreTokenizer> read_pre_tokenizer(const JsonRef& json) {
  std::vector<PreTokenizer> steps;
  read_steps(json, "pretokenizers", steps, read_pre_tokenizer_step);
  return steps;
}

std::vector<DecodeStep> read_decoder(const JsonRef& json) {
  std::vector<DecodeStep> steps;
  read_steps(json, "decoders", steps, read_decoder_step);
  // An empty sequence still joins the tokens without spaces; no decoder at all does not.
  if (steps.empty()) steps.emplace_back().kind = DecodeStep::Kind::fuse;
  return steps;
}

}  // namespace loragrad
