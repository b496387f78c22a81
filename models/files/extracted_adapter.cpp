#include "models/files/extracted_adapter.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/error.h"
#include "engine/place.h"
#include "io/hub_cache.h"
#include "io/stored_values.h"
#include "lora/files/adapter_tensors.h"
#include "lora/merge/svd.h"
#include "models/families/family.h"
#include "models/files/base_hash.h"
#include "models/files/base_tensors.h"
#include "ops/l2_norm.h"
#include "ops/meta_device.h"

namespace loragrad {
namespace {

/// One of the two checkpoints: its shapes, and its tensors.
struct Checkpoint {
  Checkpoint(const std::string& name, const CausalLm& model) : folder(name), outline(model), tensors(model, name) {}

  std::string folder;
  const CausalLm& outline;
  BaseTensors tensors;
};

/// Equal, or one is the other, rounded to its type.
bool differ(const StoredTensor& a, const StoredTensor& b) { return !has_values_of(a, b) && !has_values_of(b, a); }

/// In blocks on the host, as tables of embeddings are far larger than any map.
LeftTensor norms(const std::string& name, const StoredTensor& base, const StoredTensor& tuned, std::string why) {
  LeftTensor left{name, 0, 0, std::move(why)};
  DType base_dtype = base.dtype(), tuned_dtype = tuned.dtype();
  for (std::size_t i = 0; i < base.byte_count / size_of(base_dtype); ++i) {
    double old = stored_value(base.bytes, base_dtype, i), change = stored_value(tuned.bytes, tuned_dtype, i) - old;
    left.base += old * old;
    left.norm += change * change;
  }
  left.base = std::sqrt(left.base);
  left.norm = std::sqrt(left.norm);
  return left;
}

Tensor difference(const StoredTensor& base, const StoredTensor& tuned, const DevicePtr& device) {
  Shape shape{base.shape[0], base.shape[1]};
  Tensor d = Tensor::empty(device, shape, DType::f64);
  for (auto [stored, sign] : {std::pair(&tuned, 1.0), {&base, -1.0}}) {
    Weight weight = place(device, stored->host_bytes(), stored->dtype(), shape, stored->dtype());
    device->kernels().accumulate(*device, {weight.view(), sign, d.mutable_matrix(), sign > 0 ? 0.0 : 1.0});
  }
  return d;
}

/// side · √s of the first singular values as the rows of [rank, n], or the columns of [n, rank]; zeros where D has
/// fewer.
Tensor factor(const DevicePtr& device, const HostMatrix& side, const std::vector<double>& s, std::int64_t rank,
              bool as_rows) {
  Shape shape = as_rows ? Shape{rank, side.rows} : Shape{side.rows, rank};
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::int64_t i = 0; i < side.rows; ++i)
    for (std::int64_t k = 0; k < side.cols; ++k)
      values[static_cast<std::size_t>(as_rows ? k * side.rows + i : i * rank + k)] =
          static_cast<float>(side.at(i, k) * std::sqrt(s[static_cast<std::size_t>(k)]));
  return Tensor::from(device, shape, std::move(values));
}

class Extractor {
 public:
  Extractor(const CausalLm& base, const std::string& base_folder, const std::string& tuned, const DevicePtr& device,
            const ExtractOptions& options)
      : base_(base_folder, base),
        tuned_model_(load_model(tuned, meta_device(device))),
        tuned_(tuned, *tuned_model_),
        device_(device),
        options_(options) {
    const std::string &expected = base_.outline.config().model_type, &found = tuned_.outline.config().model_type;
    if (expected != found)
      throw InputError(tuned + ": expected a model like the base, \"" + expected + "\", found \"" + found + "\"");
  }

  Extraction operator()() {
    std::vector<LinearShape> chosen = match_targets(options_.targets, extractable_shapes(base_.outline));
    std::vector<LinearShape> changed;
    for (const LinearShape& map : chosen) {
      auto [base, tuned] = both(map.name + ".weight");
      if (!base || !tuned || base->shape != tuned->shape)
        throw InputError(tuned_.folder + ": " + map.name + ".weight: expected " + (base ? base->shape_text() : "one") +
                         " as in the base, found " + (tuned ? tuned->shape_text() : "none"));
      if (differ(*base, *tuned)) changed.push_back(map);
    }
    if (changed.empty())
      throw InputError(tuned_.folder + ": expected other values than " + base_.folder +
                       " in a linear map that was chosen, found the same in all of them");
    list_others(chosen);
    for (std::size_t i = 0; i < changed.size(); ++i) {
      if (options_.progress) options_.progress(i, changed.size());
      add(changed[i]);
    }
    bool head = std::any_of(changed.begin(), changed.end(), [](const LinearShape& map) { return map.is_head; });
    finish(!head && changed.size() == base_.outline.linear_shapes().size());
    return std::move(result_);
  }

 private:
  std::pair<const StoredTensor*, const StoredTensor*> both(const std::string& name) const {
    return {base_.tensors.find_tied(name), tuned_.tensors.find_tied(name)};
  }

  void add(const LinearShape& map) {
    std::string name = map.name + ".weight";
    auto [base, tuned] = both(name);
    Tensor d = difference(*base, *tuned, device_);
    double norm = l2_norm(device_, d.matrix());
    if (!std::isfinite(norm))
      throw NumericError(tuned_.folder + ": " + name +
                         ": expected finite numbers, here and in the base, found NaN or Inf");
    Svd found = leading_svd(d, options_.rank);
    double kept = 0;
    for (double s : found.s) kept += s * s;
    double error = std::max(0.0, norm * norm - kept);
    result_.norm += norm * norm;
    result_.error += error;
    if (double share = std::sqrt(error) / norm; result_.worst.empty() || share > result_.worst_error) {
      result_.worst = map.name;
      result_.worst_error = share;
    }
    bool transposed = map.layout == WeightLayout::in_out;  // D is then (B A)ᵀ
    result_.adapter.modules.push_back(
        {.name = map.name,
         .a = factor(device_, transposed ? found.u : found.v, found.s, options_.rank, true),
         .b = factor(device_, transposed ? found.v : found.u, found.s, options_.rank, false),
         .layout = map.layout});
  }

  /// All that has no place in the adapter: other parameters, and what only one of the two has.
  void list_others(const std::vector<LinearShape>& chosen) {
    std::set<const StoredTensor*> seen;
    for (const LinearShape& map : chosen) {
      auto [base, tuned] = both(map.name + ".weight");
      seen.insert({base, tuned});
    }
    std::set<std::string> maps;
    for (const LinearShape& map : extractable_shapes(base_.outline)) maps.insert(map.name + ".weight");
    auto look = [&](const std::string& name, const StoredTensor* base, const StoredTensor* tuned) {
      if (seen.count(base) && seen.count(tuned)) return;
      seen.insert({base, tuned});
      if (!base || !tuned)
        result_.left.push_back({name, 0, 0, base ? "only in the base" : "not in the base"});
      else if (base->shape != tuned->shape)
        result_.left.push_back({name, 0, 0, base->shape_text() + " in the base, here " + tuned->shape_text()});
      else if (differ(*base, *tuned))
        result_.left.push_back(norms(name, *base, *tuned, maps.count(name) ? "not among --target" : "no linear map"));
    };
    // A tied head that was trained by itself is a parameter of one of the two.
    for (const Checkpoint* checkpoint : {&base_, &tuned_})
      for (const auto& [name, parameter] : checkpoint->outline.parameters()) {
        auto [base, tuned] = both(name);
        look(name, base, tuned);
      }
    const std::vector<std::string>& buffers = family_named(base_.outline.config().model_type).ignored_buffers;
    for (const Checkpoint* checkpoint : {&base_, &tuned_})
      for (const StoredTensor& tensor : checkpoint->tensors.file().tensors) {
        auto ends = [&](const std::string& end) { return tensor.name.ends_with(end); };
        if (seen.count(&tensor) || !is_parameter_dtype(tensor) || std::any_of(buffers.begin(), buffers.end(), ends))
          continue;
        look(tensor.name, base_.tensors.find(tensor.name), tuned_.tensors.find(tensor.name));
      }
    std::stable_sort(result_.left.begin(), result_.left.end(),
                     [](const LeftTensor& a, const LeftTensor& b) { return a.norm > b.norm; });
  }

  void finish(bool all) {
    Adapter& adapter = result_.adapter;
    adapter.base_model = base_name_of(base_.folder);
    adapter.config.r = options_.rank;
    adapter.config.lora_alpha = static_cast<double>(options_.rank);
    if (all)
      adapter.config.target_modules = TargetModules::parse("all-linear");
    else
      for (const LoraModule& module : adapter.modules) adapter.config.target_modules.names.push_back(module.name);
    result_.norm = std::sqrt(result_.norm);
    result_.error = std::sqrt(result_.error);
    result_.base_hash = base_hash(base_.outline, base_.tensors);
  }

  Checkpoint base_;
  std::unique_ptr<CausalLm> tuned_model_;  // an outline
  Checkpoint tuned_;
  DevicePtr device_;
  const ExtractOptions& options_;
  Extraction result_;
};

}  // namespace

std::vector<LinearShape> extractable_shapes(const CausalLm& model) {
  std::vector<LinearShape> shapes = model.adaptable_shapes();
  std::erase_if(shapes, [](const LinearShape& map) { return map.is_embedding; });
  return shapes;
}

Extraction extract_adapter(const CausalLm& base, const std::string& base_folder, const std::string& tuned_folder,
                           const DevicePtr& device, const ExtractOptions& options) {
  return Extractor(base, base_folder, tuned_folder, device, options)();
}

}  // namespace loragrad
