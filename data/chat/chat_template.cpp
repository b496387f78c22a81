#include "data/chat/chat_template.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <filesystem>

#include "engine/error.h"
#include "io/mapped_file.h"
#include "io/message.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

/// A template in a file of settings: a text, or a list of named ones.
jinja::Template template_of(const JsonRef& value) {
  std::string place = value.where() + ": " + value.path();
  if (value.is_string()) return {value.string(), place};
  std::vector<std::string> names;
  for (const JsonRef& each : value.elements()) {
    names.push_back(each.at("name").string());
    if (names.back() == "default") return {each.at("template").string(), place};
  }
  throw InputError(fmt::format("{}: expected a template named default, found {} (--chat-template FILE gives one)",
                               place, names.empty() ? "none" : list_text(names)));
}

jinja::Template template_in(const fs::path& folder) {
  std::string own = (folder / "chat_template.jinja").string(), config = (folder / "tokenizer_config.json").string();
  if (is_there(own)) return {read_file(own), own};
  if (is_there(config)) {
    Json json = read_json_file(config);
    if (auto value = JsonRef(json, config).find("chat_template")) return template_of(*value);
  }
  throw InputError(
      fmt::format("{}: expected a chat template (chat_template.jinja, or chat_template in "
                  "tokenizer_config.json), found none: --chat-template FILE gives one",
                  folder.empty() ? "a new model" : folder.string()));
}

}  // namespace

std::optional<jinja::Date> day_of(std::string_view text) {
  int numbers[3] = {};
  constexpr std::size_t sizes[] = {4, 2, 2};
  for (int i = 0; i < 3; ++i) {
    if (i > 0 && !text.starts_with('-')) return std::nullopt;
    if (i > 0) text.remove_prefix(1);
    std::string_view digits = text.substr(0, sizes[i]);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), numbers[i]);
    if (error != std::errc() || digits.size() != sizes[i] || end != digits.data() + digits.size()) return std::nullopt;
    text.remove_prefix(sizes[i]);
  }
  std::chrono::year_month_day day{std::chrono::year(numbers[0]), std::chrono::month(static_cast<unsigned>(numbers[1])),
                                  std::chrono::day(static_cast<unsigned>(numbers[2]))};
  if (!text.empty() || !day.ok()) return std::nullopt;
  return jinja::Date{numbers[0], numbers[1], numbers[2]};
}

ChatTemplate ChatTemplate::open(const std::string& folder, const std::optional<std::string>& file,
                                const Tokenizer& tokenizer, const jinja::Date& date) {
  return {file ? jinja::Template(read_file(*file), *file) : template_in(folder), tokenizer, date};
}

ChatTemplate::ChatTemplate(jinja::Template source, const Tokenizer& tokenizer, const jinja::Date& date)
    : source_(std::move(source)), tokenizer_(&tokenizer), date_(date) {}

jinja::Rendering ChatTemplate::render(const Conversation& conversation, bool goes_on, const std::string& place,
                                      const std::string* eos) const {
  Json names(Json::Object{});
  for (const auto& [name, text] : tokenizer_->named_tokens()) names.set(name, eos && name == "eos_token" ? *eos : text);
  for (const auto& [name, value] : conversation.more) names.set(name, value);
  names.set("messages", conversation.messages);
  names.set("tools", conversation.tools);
  names.set("documents", conversation.documents);
  names.set("add_generation_prompt", goes_on);
  try {
    return source_.render(std::get<Json::Object>(names.value()), date_);
  } catch (const InputError& error) {
    throw InputError(place + ": " + error.what());
  }
}

std::string ChatTemplate::text(const Conversation& conversation, bool goes_on, const std::string& place) const {
  return render(conversation, goes_on, place).text;
}

}  // namespace loragrad
