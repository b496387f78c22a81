#include "tests/models/golden_case.h"

#include <fstream>

namespace loragrad {

Batch GoldenCase::batch(const CausalLm& model, std::size_t begin, std::size_t count) const {
  std::vector<BatchRow> list;
  for (std::size_t i = 0; i < count; ++i) {
    const Row& row = rows[(begin + i) % rows.size()];
    list.push_back({row.ids, row.labels, static_cast<std::int32_t>(i), 0});
  }
  return make_batch(model.device(), list, model.config().vocab_size, model.config().max_position_embeddings);
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

}  // namespace loragrad
