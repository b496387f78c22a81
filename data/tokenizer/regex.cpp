#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/tokenizer/regex.h"

#include <fmt/format.h>
#include <pcre2.h>

#include "engine/error.h"
#include "io/json.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

// Linear work per match needs a count about the length of the text; only a pattern that explodes goes far beyond.
constexpr std::uint32_t match_limit = 100'000'000;
constexpr std::size_t jit_stack_start = 32 << 10, jit_stack_limit = 16 << 20;
constexpr std::uint32_t heap_limit_kib = 256 << 10;

std::string reason(int code) {
  PCRE2_UCHAR buffer[128];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct Regex::Impl {
  Owned<pcre2_code> code;
  std::string where;
};

Regex::Regex(Regex&&) noexcept = default;
Regex::~Regex() = default;

Regex::Regex(std::string_view pattern, const std::string& where) : impl_(std::make_unique<Impl>()) {
  impl_->where = where;
  std::string translated = to_pcre2(pattern);
  if (translated.empty())
    throw InputError(
        fmt::format("{}: expected a pattern of literals, groups, classes and the escapes "
                    "\\s \\S \\d \\D \\p \\P \\r \\n \\t \\v \\f \\a \\e \\x \\u, found \"{}\"",
                    where, escaped(pattern)));
  Owned<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE at = 0;
  impl_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &at,
                                  context.get()));
  if (!impl_->code)
    throw InputError(
        fmt::format("{}: expected a regular expression, found \"{}\" ({})", where, escaped(pattern), reason(error)));
  // Where there is no JIT for the processor the interpreter gives the same matches.
  pcre2_jit_compile(impl_->code.get(), PCRE2_JIT_COMPLETE);
}

std::vector<Span> Regex::find_all(std::string_view text) const {
  Owned<pcre2_match_data> data(pcre2_match_data_create_from_pattern(impl_->code.get(), nullptr));
  Owned<pcre2_match_context> context(pcre2_match_context_create(nullptr));
  Owned<pcre2_jit_stack> stack(pcre2_jit_stack_create(jit_stack_start, jit_stack_limit, nullptr));
  if (!data || !context) throw IoError("out of memory for a regular expression");
  pcre2_set_match_limit(context.get(), match_limit);
  pcre2_set_heap_limit(context.get(), heap_limit_kib);
  if (stack) pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  std::vector<Span> matches;
  PCRE2_SIZE at = 0;
  while (at <= text.size()) {
    int count = pcre2_match(impl_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                            PCRE2_NO_UTF_CHECK, data.get(), context.get());
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0)
      throw InputError(
          fmt::format("{}: the pattern fails on a text of {} bytes: {}", impl_->where, text.size(), reason(count)));
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    Span span{ends[0], ends[1], true};
    bool empty = span.begin == span.end;
    // An empty match right behind the one before is no match of its own.
    if (!empty || matches.empty() || matches.back().end != span.begin) matches.push_back(span);
    at = span.end;
    if (!empty) continue;
    ++at;
    while (at < text.size() && continues_character(text[at])) ++at;
  }
  return matches;
}

}  // namespace loragrad
