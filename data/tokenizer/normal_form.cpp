#include "data/tokenizer/normal_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <numeric>

#include "data/unicode.h"
#include "engine/error.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

// Code points, and for each where in the text the character begins that it came from; without `places` if nobody asks.
struct Points {
  std::vector<utf8proc_int32_t> codes;
  std::vector<std::size_t> places;
};

constexpr int most_parts = 32;  // the longest decomposition, of U+FDFA, has 18

utf8proc_ssize_t decompose(utf8proc_int32_t code, int options, utf8proc_int32_t (&parts)[most_parts]) {
  int boundary = 0;
  utf8proc_ssize_t count =
      utf8proc_decompose_char(code, parts, most_parts, static_cast<utf8proc_option_t>(options), &boundary);
  if (count < 0 || count > most_parts) throw InputError(std::string("text: ") + utf8proc_errmsg(count));
  return count;
}

Points decomposed(std::string_view text, int options, bool placed) {
  Points points;
  points.codes.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    CodePoint point = code_point_at(text, at);
    utf8proc_int32_t parts[most_parts];
    utf8proc_ssize_t count = decompose(static_cast<utf8proc_int32_t>(point.value), options, parts);
    points.codes.insert(points.codes.end(), parts, parts + count);
    if (placed) points.places.insert(points.places.end(), static_cast<std::size_t>(count), at);
    at += point.size;
  }
  return points;
}

// Canonical order. utf8proc_decompose would do it too, but in quadratic time for a long run of marks.
void sort_marks(Points& points) {
  struct Mark {
    utf8proc_propval_t order;
    utf8proc_int32_t code;
    std::size_t place;
  };
  auto order_at = [&](std::size_t at) { return utf8proc_get_property(points.codes[at])->combining_class; };
  bool placed = !points.places.empty();
  std::vector<Mark> run;
  for (std::size_t begin = 0; begin < points.codes.size(); begin += run.size() + 1) {
    run.clear();
    for (std::size_t at = begin; at < points.codes.size() && order_at(at) != 0; ++at)
      run.push_back({order_at(at), points.codes[at], placed ? points.places[at] : 0});
    if (run.size() < 2) continue;
    std::stable_sort(run.begin(), run.end(), [](const Mark& a, const Mark& b) { return a.order < b.order; });
    for (std::size_t i = 0; i < run.size(); ++i) {
      points.codes[begin + i] = run[i].code;
      if (placed) points.places[begin + i] = run[i].place;
    }
  }
}

// The places of `composed`, made from `points`: taken apart again, each character is the first point that is left over
// and those behind it that it has taken in, in their order; marks that it could not take stay between.
std::vector<std::size_t> composed_places(const std::vector<utf8proc_int32_t>& composed, const Points& points) {
  std::vector<std::size_t> places;
  places.reserve(composed.size());
  std::vector<bool> taken(points.codes.size(), false);
  std::size_t first = 0;
  for (utf8proc_int32_t code : composed) {
    while (taken[first]) ++first;
    places.push_back(points.places[first]);
    utf8proc_int32_t parts[most_parts];
    utf8proc_ssize_t count = decompose(code, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, parts);
    std::size_t at = first++;
    for (utf8proc_ssize_t i = 1; i < count; ++i) {
      do ++at;
      while (taken.at(at) || points.codes[at] != parts[i]);
      taken[at] = true;
    }
  }
  return places;
}

void compose(Points& points) {
  bool placed = !points.places.empty();
  std::vector<utf8proc_int32_t> composed = placed ? points.codes : std::move(points.codes);
  utf8proc_ssize_t count = utf8proc_normalize_utf32(composed.data(), static_cast<utf8proc_ssize_t>(composed.size()),
                                                    static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (count < 0) throw InputError(std::string("text: ") + utf8proc_errmsg(count));
  composed.resize(static_cast<std::size_t>(count));
  if (placed) points.places = composed_places(composed, points);
  points.codes = std::move(composed);
}

}  // namespace

std::string normal_form(std::string_view text, NormalForm form, std::vector<std::size_t>* sources) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
    if (sources) {
      sources->resize(text.size());
      std::iota(sources->begin(), sources->end(), std::size_t{0});
    }
    return std::string(text);
  }
  int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  if (form == NormalForm::nfkc || form == NormalForm::nfkd) options |= UTF8PROC_COMPAT;
  Points points = decomposed(text, options, sources != nullptr);
  sort_marks(points);
  if (form == NormalForm::nfc || form == NormalForm::nfkc) compose(points);
  std::string out;
  out.reserve(text.size());
  if (sources) sources->clear();
  for (std::size_t i = 0; i < points.codes.size(); ++i) {
    append_utf8(out, static_cast<char32_t>(points.codes[i]));
    if (sources) sources->resize(out.size(), points.places[i]);
  }
  return out;
}

}  // namespace loragrad
