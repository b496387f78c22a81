#include "models/merged_model.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "engine/error.h"
#include "engine/place.h"
#include "engine/random.h"
#include "io/atomic.h"
#include "io/mapped_file.h"
#include "io/sharded_writer.h"
#include "lora/merge.h"
#include "lora/rounded_values.h"
#include "lora/variant.h"
#include "models/base_tensors.h"
#include "models/model_files.h"
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
  return model.logits(model.hidden({.batch = batch, .adapters = adapters, .record = false})).values<float>();
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

/// Below this share, most of what an adapter was to change in a weight is not there.
constexpr double half = 0.5;

void add_kept(MergeReport& report, const std::string& name, DType dtype, const ChangeKept& kept) {
  double share = kept.share();
  if (share < half) ++report.mostly_lost;
  if (!report.least.empty() && share >= report.least_kept) return;
  report.least = name;
  report.least_kept = share;
  report.lost_to = dtype;
}

/// The tensors' files, and what of the report is known by them. One merged weight at a time is in memory.
MergeReport write_tensors(const CausalLm& model, const std::string& model_folder,
                          const std::vector<WeightedAdapter>& adapters, const std::string& folder,
                          std::uint64_t shard_bytes) {
  BaseTensors base(model, model_folder);
  std::map<std::string, std::vector<MergeTerm>> terms;  // by the parameter's name
  for (const WeightedAdapter& a : adapters)
    for (const LoraModule& module : a.adapter.modules)
      for (std::string_view parameter : module.variant->merged()) {
        std::string name = module.name + "." + std::string(parameter);
        if (!base.find(name))
          throw InputError(model_folder + ": " + name + ": expected a tensor to merge the adapter into, found none");
        terms[name].push_back({&module, a.weight, parameter});
      }
  std::map<std::string, const TrainedParameter*> trained;
  for (const WeightedAdapter& a : adapters)
    for (const TrainedParameter& parameter : a.adapter.parameters_of_base) {
      if (!base.find(parameter.name))
        throw InputError(model_folder + ": " + parameter.name +
                         ": expected a tensor to put the trained one in the place of, found none");
      if (terms.count(parameter.name))
        throw InputError(model_folder + ": " + parameter.name +
                         ": expected one change, found a trained one and another");
      trained[parameter.name] = &parameter;
    }
  for (const auto& [name, slot] : model.parameters())
    if (!trained.empty() && name == "lm_head.weight" && !base.find(name))
      throw InputError(model_folder + ": expected a head of its own to merge a trained embedding, found a tied one");
  std::map<std::string, WeightLayout> layouts;
  for (const LinearShape& linear : model.linear_shapes()) layouts[linear.name + ".weight"] = linear.layout;

  // Its embedding may change; a head that was trained is one of its own.
  const StoredTensor* repeated = trained.count("lm_head.weight") ? nullptr : base.tied_copy(model);
  std::map<std::string, const StoredTensor*> unchanged;
  std::vector<TensorOutline> outlines;
  for (const StoredTensor& tensor : base.file().tensors) {
    if (!is_parameter_dtype(tensor)) continue;  // readers make buffers anew
    if (&tensor == repeated) continue;
    outlines.push_back({tensor.name, tensor.dtype(), tensor.shape});
    unchanged[tensor.name] = &tensor;
  }
  ShardedWriter file(folder, outlines, shard_bytes);
  MergeReport report;
  ChangeKept all;
  for (const auto& [name, list] : terms) {
    const StoredTensor* tensor = base.find(name);
    const std::vector<std::int64_t>& shape = tensor->shape;
    Weight weight = place(model.device(), tensor->host_bytes(), tensor->dtype(),
                          {shape.size() > 1 ? shape[0] : 1, shape.back()}, tensor->dtype(), layouts[name]);
    ChangeKept kept;
    std::vector<std::byte> merged = merge_weight(name, weight, list, &kept);
    file.add(tensor->name, merged.data(), merged.size());
    unchanged.erase(tensor->name);
    add_kept(report, name, weight.dtype(), kept);
    all += kept;
  }
  for (const auto& [name, parameter] : trained) {
    const StoredTensor* tensor = base.find(name);
    std::vector<std::byte> values = rounded_values(name, parameter->values, tensor->dtype());
    file.add(tensor->name, values.data(), values.size());
    unchanged.erase(tensor->name);
  }
  for (const auto& [name, tensor] : unchanged) file.add(name, tensor->bytes, tensor->byte_count);
  file.commit();
  report.kept = all.share();
  report.tensors = static_cast<std::int64_t>(outlines.size());
  report.merged = static_cast<std::int64_t>(terms.size() + trained.size());
  return report;
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
  MergeReport report = write_tensors(model, model_folder, adapters, output, shard_bytes);
  write_file(output + "/config.json", read_file(model_folder + "/config.json"));
  copy_companions(model_folder, output);

  std::vector<std::int32_t> ids = sample_row(model.config());
  report.sample_tokens = static_cast<std::int64_t>(ids.size());
  std::vector<float> alone = sample_logits(model, ids);
  std::vector<float> adapted = sample_logits(model, ids, model.activate(adapters));
  Precision precision = model.compute_dtype() == DType::bf16 ? Precision::bf16 : Precision::f32;
  std::vector<float> result = sample_logits(*load_model(output, model.device(), {.precision = precision}), ids);
  report.largest_logit_difference = largest_difference(adapted, result);
  report.largest_adapter_effect = largest_difference(adapted, alone);
  report.largest_logit = largest_difference(adapted, std::vector<float>(adapted.size()));
  return report;
}

}  // namespace loragrad
