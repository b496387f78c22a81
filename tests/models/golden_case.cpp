#include "tests/models/golden_case.h"

#include <doctest/doctest.h>

#include <set>

#include <algorithm>
#include <filesystem>
#include "models/families/family.h"

#include <cmath>
#include <fstream>

#include "engine/error.h"

namespace loragrad {

const StoredTensor* GoldenCase::gradient_of(const std::string& name) const {
  std::string key = "grad.base_model.model." + name, module = key.substr(0, key.rfind('.')),
              end = key.substr(key.rfind('.'));
  for (const std::string& each :
       {key, key + ".weight", module + ".modules_to_save" + end, module + ".base_layer" + end})
    if (const StoredTensor* found = tensors.find(each)) return found;
  return nullptr;
}

Batch GoldenCase::batch(const CausalLm& model, std::size_t begin, std::size_t count) const {
  std::vector<BatchRow> list;
  for (std::size_t i = 0; i < count; ++i) {
    const Row& row = rows[(begin + i) % rows.size()];
    list.push_back({row.ids, row.labels, static_cast<std::int32_t>(i), 0});
  }
  return make_batch(model.device(), list, model.config().vocab_size, model.config().max_position_embeddings);
}

double GoldenCase::logit_difference(const CausalLm& model, const std::string& name,
                                    const ActiveAdapters& adapters) const {
  const StoredTensor* stored = tensors.find(name);
  if (!stored) throw InputError("golden.safetensors: no " + name);
  auto* expected = reinterpret_cast<const float*>(stored->bytes);
  std::int64_t longest = stored->shape[1], vocab = stored->shape[2];
  Batch all = batch(model, 0, rows.size());
  std::vector<float> ours = model.logits({.batch = all, .adapters = adapters}).values<float>();
  double worst = 0;
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::int64_t t = 0; t < all.spans->spans[r].queries; ++t)
      for (std::int64_t v = 0; v < vocab; ++v) {
        double a = ours[static_cast<std::size_t>((all.spans->spans[r].query + t) * vocab + v)];
        double b = expected[(static_cast<std::int64_t>(r) * longest + t) * vocab + v];
        worst = std::max(worst, std::abs(a - b));
      }
  return worst;
}

GoldenCase read_golden_case(const std::string& folder) {
  GoldenCase golden;
  std::ifstream file(folder + "/rows.jsonl");
  for (std::string line; std::getline(file, line);) {
    Json json = parse_json(line, "rows.jsonl");
    JsonRef ref(json, "rows.jsonl");
    GoldenCase::Row row;
    for (const JsonRef& id : ref.at("input_ids").elements())
      row.ids.push_back(static_cast<std::int32_t>(id.integer(0, 1 << 30)));
    for (const JsonRef& id : ref.at("labels").elements())
      row.labels.push_back(static_cast<std::int32_t>(id.integer(-100, 1 << 30)));
    golden.rows.push_back(std::move(row));
  }
  golden.tensors = open_safetensors(folder + "/golden.safetensors");
  golden.facts = read_json_file(folder + "/golden.json");
  return golden;
}

std::vector<std::string> golden_folders() {
  std::vector<std::string> folders;
  std::set<std::string> types;
  for (const auto& entry : std::filesystem::directory_iterator("tests/models/golden")) {
    if (!entry.is_directory()) continue;
    folders.push_back(entry.path().string());
    std::string config = folders.back() + "/model/config.json";
    Json json = read_json_file(config);
    types.insert(JsonRef(json, config).at("model_type").string());
  }
  std::sort(folders.begin(), folders.end());
  for (const std::string& type : model_types()) REQUIRE_MESSAGE(types.count(type), type);
  return folders;
}

std::vector<std::string> shared_golden_folders(const std::string& shared) {
  std::vector<std::string> folders;
  for (const char* name :
       {"opt",          "gpt2",           "gpt_neox",   "granite",        "llama",    "llama-rslora",
        "llama-regex",  "llama-lorabias", "llama-dora", "llama-savehead", "opt-bias", "llama-embedlora",
        "llama-tokens", "llama-linear",   "llama-yarn", "mistral",        "olmo2",    "olmo3",
        "smollm3",      "qwen2",          "qwen3",      "gemma",          "gemma2",   "gemma3_text",
        "phi3",         "phi3-longrope"})
    folders.push_back(shared + "/golden/families/" + name);
  return folders;
}

}  // namespace loragrad
