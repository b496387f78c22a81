#include "models/trained_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/error.h"
#include "io/json.h"
#include "lora/saved_modules.h"
#include "lora/trained_rows.h"

namespace loragrad {
namespace {

constexpr const char* field = "trainable_token_indices";

/// An entry of the configuration, and the module that it means.
struct Entry {
  std::string module;
  const std::vector<std::int32_t>* ids;
};

Entry entry_of(const CausalLm& model, const TrainableTokens& tokens) {
  const std::string& embedding = model.embedding_name();
  for (const std::string& module : {embedding, std::string(head_module)})
    if (is_module_of(tokens, module, module == embedding)) return {module, &tokens.ids};
  throw InputError(fmt::format("{}: expected the name of the embedding ({}) or of the head ({}), found \"{}\"", field,
                               embedding, head_module, escaped(tokens.module, 200)));
}

/// What is trained: of a tied head the embedding's rows are its own.
std::vector<Entry> entries_of(const CausalLm& model, const LoraConfig& config) {
  std::vector<Entry> all;
  for (const TrainableTokens& tokens : config.trainable_token_indices) {
    Entry entry = entry_of(model, tokens);
    if (std::any_of(all.begin(), all.end(), [&](const Entry& other) { return other.module == entry.module; }))
      throw InputError(fmt::format("{}: expected one list for {}, found two", field, entry.module));
    for (std::int32_t id : *entry.ids)
      if (id < 0 || id >= model.config().vocab_size)
        throw InputError(fmt::format("{}: expected tokens of the vocabulary, below {}, found {}", field,
                                     model.config().vocab_size, id));
    all.push_back(entry);
  }
  if (!model.is_tied()) return all;
  auto head = std::find_if(all.begin(), all.end(), [](const Entry& entry) { return entry.module == head_module; });
  if (head == all.end()) return all;
  Entry tied = *head;
  all.erase(head);
  if (all.empty() || *all.front().ids != *tied.ids)
    throw InputError(
        fmt::format("{}: expected for {}, which is tied to {}, the same tokens in the same order, found {}", field,
                    head_module, model.embedding_name(), all.empty() ? "none" : "others"));
  return all;
}

void check_apart(const CausalLm& model, const Entry& entry, const LoraConfig& config,
                 const std::vector<LoraModule>& modules) {
  std::vector<std::string> parts{entry.module};
  if (model.is_tied()) parts.push_back(head_module);
  for (const std::string& part : parts)
    if (is_saved_module(config.modules_to_save, part))
      throw InputError(
          fmt::format("{}: expected {} not to be trained whole too, found it in modules_to_save", field, part));
  for (const std::string& part : parts)
    if (names_of(modules).count(part))
      throw InputError(fmt::format("{}: expected {} not to be adapted too, found an adapter of it", field, part));
}

const Weight& table_of(const CausalLm& model, const std::string& module) {
  return (module == head_module ? model.head() : model.embedding_table()).weight();
}

}  // namespace

std::vector<TrainedRows> rows_to_train(const CausalLm& model, const LoraConfig& config,
                                       const std::vector<LoraModule>& modules, DType dtype) {
  check_token_indices(config);
  std::vector<TrainedRows> result;
  for (const Entry& entry : entries_of(model, config)) {
    check_apart(model, entry, config, modules);
    const Weight& table = table_of(model, entry.module);
    auto count = static_cast<std::int64_t>(entry.ids->size());
    Tensor ids = Tensor::from(model.device(), {count, 1}, *entry.ids);
    Tensor values = Tensor::empty(model.device(), {count, table.shape().cols}, dtype);
    model.device()->kernels().embedding(
        *model.device(), {.table = table.view(), .ids = ids.data<std::int32_t>(), .out = values.mutable_matrix()});
    values.set_trainable();
    result.push_back({entry.module, *entry.ids, values});
  }
  return result;
}

void put_rows(CausalLm& model, const Adapter& adapter) {
  std::vector<Entry> entries = entries_of(model, adapter.config);
  for (const Entry& entry : entries) check_apart(model, entry, adapter.config, adapter.modules);
  for (const TrainedRows& rows : adapter.rows_of_base) {
    if (std::none_of(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.module == rows.module; }))
      throw InputError("adapter: the model trains no tokens of " + rows.module);
    Shape expected{static_cast<std::int64_t>(rows.ids.size()), table_of(model, rows.module).shape().cols};
    if (rows.values.shape() != expected)
      throw InputError("adapter: " + rows_name(rows.module) + ": expected " + expected.text() + ", found " +
                       rows.values.shape().text());
  }
  if (adapter.rows_of_base.size() != entries.size())
    throw InputError(fmt::format("adapter: expected trained tokens of {} modules, found {}", entries.size(),
                                 adapter.rows_of_base.size()));
  for (const TrainedRows& rows : adapter.rows_of_base) model.replace(rows);
}

}  // namespace loragrad
