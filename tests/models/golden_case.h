#pragma once
#include <string>
#include <vector>

#include "io/json.h"
#include "io/safetensors.h"
#include "models/model.h"

namespace loragrad {

/// One folder that tests/models/make_golden.py (or the shared tool of the same form) wrote.
struct GoldenCase {
  struct Row {
    std::vector<std::int32_t> ids, labels;
  };
  std::vector<Row> rows;
  StoredTensors tensors;
  Json facts;

  /// Of the first batch's mean loss, by the name that a trained tensor has in PEFT's files: its parameters have others.
  const StoredTensor* gradient_of(const std::string& name) const;
  double number(const std::string& key) const { return JsonRef(facts, "golden.json").at(key).number(-1e30, 1e30); }
  /// Rows [begin, begin + count), going around at the end.
  Batch batch(const CausalLm& model, std::size_t begin, std::size_t count) const;
  /// Largest |ours - golden| of the logits `name`, each row over its own length (goldens are padded with zeros).
  double logit_difference(const CausalLm& model, const std::string& name, const ActiveAdapters& adapters = {}) const;
};

GoldenCase read_golden_case(const std::string& folder);

/// The project's own, tests/models/golden/NAME: at least one for each model type that the registry knows, or the test
/// that asks fails.
std::vector<std::string> golden_folders();
/// Those of the shared folder whose families and variants are known here.
std::vector<std::string> shared_golden_folders(const std::string& shared);

}  // namespace loragrad
