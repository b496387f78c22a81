#include "models/files/merged_model.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "engine/error.h"
#include "engine/random.h"
#include "io/atomic.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "models/files/merged_tensors.h"
#include "models/files/model_files.h"
#include "ops/l2_norm.h"

namespace loragrad {
namespace {

void require_finite(const CausalLm& model, const std::string& folder) {
  for (const auto& [name, parameter] : model.parameters())
    if (!is_finite(model.device(), parameter->view()))
      throw NumericError(folder + ": " + name + ": expected finite numbers, found NaN or Inf");
}

std::vector<std::int32_t> sample_row(const ModelConfig& config) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(std::min<std::int64_t>(32, config.max_position_embeddings)));
  Random random(0, 0);
  for (std::int32_t& id : ids)
    id = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(config.vocab_size)));
  return ids;
}

std::vector<float> sample_logits(const CausalLm& model, const std::vector<std::int32_t>& ids,
                                 const ActiveAdapters& adapters = {}) {
  Batch batch = make_batch(model.device(), {BatchRow{.ids = ids, .labels = {}}}, model.config().vocab_size, 0);
  return model.logits({.batch = batch, .adapters = adapters, .record = false}).values<float>();
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i]))
      throw NumericError("merge: the logits of the sample row are NaN or Inf");
    largest = std::max(largest, std::fabs(double{a[i]} - double{b[i]}));
  }
  return largest;
}

void write_config(const std::string& from, const std::string& to, bool untied) {
  if (!untied) return write_file(to, read_file(from));
  Json config = read_json_file(from);
  config.set("tie_word_embeddings", false);
  write_file(to, config.dump(2) + "\n");
}

}  // namespace

void copy_companions(const std::string& from, const std::string& to) {
  for (const char* name : model_companions)
    if (is_there(std::filesystem::path(from) / name)) write_file(to + "/" + name, read_file(from + "/" + name));
}

MergeReport write_merged_model(const CausalLm& model, const std::string& model_folder,
                               const std::vector<WeightedAdapter>& adapters, const std::string& output,
                               std::uint64_t shard_bytes) {
  require_finite(model, model_folder);
  auto [report, untied] = write_merged_tensors(model, model_folder, adapters, output, shard_bytes);
  write_config(model_folder + "/config.json", output + "/config.json", untied);
  copy_companions(model_folder, output);

  std::vector<std::int32_t> ids = sample_row(model.config());
  report.sample_tokens = static_cast<std::int64_t>(ids.size());
  Precision precision = model.compute_dtype() == DType::bf16 ? Precision::bf16 : Precision::f32;
  // Of a model that has an adapter's own parameters in it, the base is loaded anew.
  bool changed = std::any_of(adapters.begin(), adapters.end(), [](const WeightedAdapter& a) {
    return !a.adapter.parameters_of_base.empty() || !a.adapter.rows_of_base.empty();
  });
  std::unique_ptr<CausalLm> base;
  if (changed) base = load_model(model_folder, model.device(), {.precision = precision});
  std::vector<float> alone = sample_logits(base ? *base : model, ids);
  base.reset();
  std::vector<float> adapted = sample_logits(model, ids, model.activate(adapters));
  std::vector<float> result = sample_logits(*load_model(output, model.device(), {.precision = precision}), ids);
  report.largest_logit_difference = largest_difference(adapted, result);
  report.largest_adapter_effect = largest_difference(adapted, alone);
  report.largest_logit = largest_difference(adapted, std::vector<float>(adapted.size()));
  return report;
}

}  // namespace loragrad
