#include "models/files/merged_tensors.h"

#include <cstring>
#include <map>

#include "engine/error.h"
#include "engine/place.h"
#include "io/sharded_writer.h"
#include "lora/merge/merge.h"
#include "lora/merge/rounded_values.h"
#include "lora/variant.h"
#include "models/files/base_tensors.h"
#include "ops/l2_norm.h"

namespace loragrad {
namespace {

/// What becomes of a parameter.
struct Change {
  std::vector<MergeTerm> terms = {};
  const TrainedParameter* whole = nullptr;
  const TrainedRows* rows = nullptr;
};

/// By parameters' names. InputError for one that the base does not have, and for two kinds of change.
std::map<std::string, Change> changes_of(const std::vector<WeightedAdapter>& adapters, const BaseTensors& base,
                                         const std::string& folder) {
  std::map<std::string, Change> changes;
  auto change = [&](const std::string& name, const char* what) -> Change& {
    if (!base.find_tied(name))
      throw InputError(folder + ": " + name + ": expected a tensor to " + what + ", found none");
    return changes[name];
  };
  for (const WeightedAdapter& a : adapters) {
    for (const LoraModule& module : a.adapter.modules)
      for (std::string_view parameter : module.variant->merged())
        change(module.name + "." + std::string(parameter), "merge the adapter into")
            .terms.push_back({&module, a.weight, parameter});
    for (const TrainedParameter& parameter : a.adapter.parameters_of_base)
      change(parameter.name, "put the trained one in the place of").whole = &parameter;
    for (const TrainedRows& rows : a.adapter.rows_of_base)
      change(rows.module + ".weight", "put trained rows into").rows = &rows;
  }
  for (const auto& [name, each] : changes)
    if (int(!each.terms.empty()) + int(each.whole != nullptr) + int(each.rows != nullptr) > 1)
      throw InputError(folder + ": " + name + ": expected one change, found a trained one and another");
  return changes;
}

/// A tensor to write: of the base's, with what becomes of it.
struct Output {
  std::string name;
  const StoredTensor* stored;
  std::string parameter = {};
  const Change* change = nullptr;
};

std::vector<Output> outputs_of(const std::map<std::string, Change>& changes, const BaseTensors& base, bool untied) {
  std::map<const StoredTensor*, Output> changed;
  std::vector<Output> outputs;
  const std::string& embedding = base.embedding_name();
  for (const auto& [name, change] : changes) {
    const StoredTensor* stored = base.find_tied(name);
    changed[stored] = {stored->name, stored, name, &change};
  }
  // Of tied ones that stay so, a second copy is left out.
  const StoredTensor* of_embedding = base.find(embedding);
  const StoredTensor* of_head = base.is_tied() ? base.find(head_name) : nullptr;
  for (const StoredTensor& tensor : base.file().tensors) {
    if (!is_parameter_dtype(tensor)) continue;  // readers make buffers anew
    if (untied && (&tensor == of_embedding || &tensor == of_head)) continue;
    if (of_embedding && &tensor == of_head) continue;
    auto found = changed.find(&tensor);
    outputs.push_back(found == changed.end() ? Output{tensor.name, &tensor} : found->second);
  }
  if (!untied) return outputs;
  for (const std::string& name : {embedding, std::string(head_name)}) {
    const StoredTensor *own = base.find(name), *stored = own ? own : base.find_tied(name);
    auto change = changes.find(name);
    outputs.push_back({own ? own->name : name, stored, name, change == changes.end() ? nullptr : &change->second});
  }
  return outputs;
}

std::vector<std::byte> with_rows(const StoredTensor& stored, const TrainedRows& rows) {
  std::vector<std::byte> table(stored.bytes, stored.bytes + stored.byte_count);
  std::vector<std::byte> values = rounded_values(rows_name(rows.module), rows.values, stored.dtype());
  std::size_t row = values.size() / rows.ids.size();
  for (std::size_t i = 0; i < rows.ids.size(); ++i)
    std::memcpy(table.data() + static_cast<std::size_t>(rows.ids[i]) * row, values.data() + i * row, row);
  return table;
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

}  // namespace

MergedTensors write_merged_tensors(const CausalLm& model, const std::string& model_folder,
                                   const std::vector<WeightedAdapter>& adapters, const std::string& folder,
                                   std::uint64_t shard_bytes) {
  BaseTensors base(model, model_folder);
  std::map<std::string, Change> changes = changes_of(adapters, base, model_folder);
  MergedTensors result;
  MergeReport& report = result.report;
  for (const auto& [name, change] : changes)
    result.untied =
        result.untied || (base.is_tied() && !change.rows && (name == base.embedding_name() || name == head_name));
  std::map<std::string, WeightLayout> layouts;
  for (const LinearShape& map : model.adaptable_shapes()) layouts[map.name + ".weight"] = map.layout;

  std::vector<Output> outputs = outputs_of(changes, base, result.untied);
  std::vector<TensorOutline> outlines;
  for (const Output& output : outputs) outlines.push_back({output.name, output.stored->dtype(), output.stored->shape});
  ShardedWriter file(folder, outlines, shard_bytes);
  ChangeKept all;
  for (const Output& output : outputs) {
    const StoredTensor& stored = *output.stored;
    const Change* change = output.change;
    std::vector<std::byte> values;
    if (change && change->whole) {
      values = rounded_values(output.parameter, change->whole->values, stored.dtype());
    } else if (change && change->rows) {
      values = with_rows(stored, *change->rows);
    } else if (change) {
      const std::vector<std::int64_t>& shape = stored.shape;
      Weight weight = place(model.device(), stored.host_bytes(), stored.dtype(),
                            {shape.size() > 1 ? shape[0] : 1, shape.back()}, stored.dtype(), layouts[output.parameter]);
      ChangeKept kept;
      values = merge_weight(output.parameter, weight, change->terms, &kept);
      add_kept(report, output.parameter, weight.dtype(), kept);
      all += kept;
    }
    if (change)
      file.add(output.name, values.data(), values.size());
    else
      file.add(output.name, stored.bytes, stored.byte_count);
  }
  file.commit();
  report.kept = all.share();
  report.tensors = static_cast<std::int64_t>(outlines.size());
  report.merged = static_cast<std::int64_t>(changes.size());
  return result;
}

}  // namespace loragrad
