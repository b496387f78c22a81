#include "models/merged_model.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "engine/error.h"
#include "engine/place.h"
#include "engine/random.h"
#include "io/atomic.h"
#include "io/json.h"
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

/// Whether one of a tied head and its embedding was trained, so that they are two from now on.
bool unties_head(const CausalLm& model, const std::vector<WeightedAdapter>& adapters) {
  if (!model.config().tie_word_embeddings) return false;
  const std::string& embedding = model.parameters().front().first;
  return std::any_of(adapters.begin(), adapters.end(), [&](const WeightedAdapter& a) {
    const std::vector<TrainedParameter>& trained = a.adapter.parameters_of_base;
    return std::any_of(trained.begin(), trained.end(), [&](const TrainedParameter& parameter) {
      return parameter.name == head_name || parameter.name == embedding;
    });
  });
}

void write_config(const std::string& from, const std::string& to, bool untied) {
  if (!untied) return write_file(to, read_file(from));
  Json config = read_json_file(from);
  config.set("tie_word_embeddings", false);
  write_file(to, config.dump(2) + "\n");
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
      if (!base.find_tied(parameter.name))
        throw InputError(model_folder + ": " + parameter.name +
                         ": expected a tensor to put the trained one in the place of, found none");
      if (terms.count(parameter.name))
        throw InputError(model_folder + ": " + parameter.name +
                         ": expected one change, found a trained one and another");
      trained[parameter.name] = &parameter;
    }
  std::map<std::string, WeightLayout> layouts;
  for (const LinearShape& linear : model.linear_shapes()) layouts[linear.name + ".weight"] = linear.layout;

  bool unties = unties_head(model, adapters);
  const StoredTensor* repeated = unties ? nullptr : base.tied_copy(model);  // its embedding may change
  std::map<std::string, const StoredTensor*> unchanged;
  std::vector<TensorOutline> outlines;
  for (const StoredTensor& tensor : base.file().tensors) {
    if (!is_parameter_dtype(tensor)) continue;  // readers make buffers anew
    if (&tensor == repeated) continue;
    outlines.push_back({tensor.name, tensor.dtype(), tensor.shape});
    unchanged[tensor.name] = &tensor;
  }
  // Of a head and an embedding that were one, the other stays what both had been.
  for (const std::string& name : {base.embedding(), std::string(head_name)})
    if (unties && !base.find(name)) {
      const StoredTensor* tensor = base.find_tied(name);
      outlines.push_back({name, tensor->dtype(), tensor->shape});
      unchanged[name] = tensor;
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
    const StoredTensor* stored = base.find(name);
    std::string stored_name = stored ? stored->name : name;
    std::vector<std::byte> values = rounded_values(name, parameter->values, base.find_tied(name)->dtype());
    file.add(stored_name, values.data(), values.size());
    unchanged.erase(stored_name);
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
  write_config(model_folder + "/config.json", output + "/config.json", unties_head(model, adapters));
  copy_companions(model_folder, output);

  std::vector<std::int32_t> ids = sample_row(model.config());
  report.sample_tokens = static_cast<std::int64_t>(ids.size());
  Precision precision = model.compute_dtype() == DType::bf16 ? Precision::bf16 : Precision::f32;
  // Of a model that has an adapter's own parameters in it, the base is loaded anew.
  bool changed = std::any_of(adapters.begin(), adapters.end(),
                             [](const WeightedAdapter& a) { return !a.adapter.parameters_of_base.empty(); });
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
