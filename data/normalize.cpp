#include "data/normalize.h"

namespace loragrad {
namespace {

std::string apply(const Normalizer& step, std::string text) {
  switch (step.kind) {
    case Normalizer::Kind::unicode:
      return normal_form(text, step.form);
    case Normalizer::Kind::prepend:
      return text.empty() ? text : step.content + text;
    case Normalizer::Kind::replace:
      return step.pattern.replace_all(text, step.content);
    case Normalizer::Kind::strip:
      if (step.right) text.resize(text.size() - trailing_white_space(text));
      if (step.left) text.erase(0, leading_white_space(text));
      return text;
  }
  return text;
}

}  // namespace

std::string normalize(const std::vector<Normalizer>& steps, std::string text) {
  for (const Normalizer& step : steps) text = apply(step, std::move(text));
  return text;
}

}  // namespace loragrad
