#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/error.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "io/tensor_complaints.h"
#include "lora/adapter_selection.h"
#include "lora/files/adapter_config_json.h"
#include "lora/files/adapter_file.h"
#include "lora/files/adapter_names.h"
#include "lora/files/adapter_tensors.h"
#include "lora/files/respelled_adapter.h"
#include "lora/head_name.h"
#include "lora/patterns.h"
#include "lora/saved_modules.h"
#include "lora/trained_rows.h"

namespace loragrad {
namespace {

[[noreturn]] void refuse_trained(const std::string& path, const StoredTensor& tensor, const StoredTensor& base) {
  bool resized = tensor.shape != base.shape;
  throw InputError(path + ": " + escaped(tensor.name, 200) + ": expected the base's own " +
                   (resized ? base.shape_text() : "values") +
                   " (a parameter trained or resized beside the adapter: "
                   "not supported), found " +
                   (resized ? tensor.shape_text() : "others"));
}

/// Which of the base's parameters a tensor beside the adapter is that the configuration says was trained; "" for others.
std::string trained_parameter(const LoraConfig& config, const std::set<std::string>& adapted, std::string name) {
  bool of_adapted = name.ends_with(bias_of_adapted);
  if (of_adapted) name.replace(name.size() - bias_of_adapted.size(), bias_of_adapted.size(), ".bias");
  for (std::string_view wrapped : {".modules_to_save.default.", ".modules_to_save."})
    if (std::size_t at = name.rfind(wrapped); at != std::string::npos) name.replace(at, wrapped.size(), ".");
  return is_trained(config, adapted, name) || (of_adapted && config.bias != TrainedBias::none) ? name : "";
}

/// The rows that the configuration says were trained, by the tensors that are there. A tied head's are the embedding's,
/// and have no tensor.
std::vector<std::pair<TrainedRows, const StoredTensor*>> trained_rows(const LoraConfig& config,
                                                                      const AdapterTensors& tensors,
                                                                      const std::vector<LinearShape>& all,
                                                                      TensorComplaints& complaints) {
  std::vector<std::pair<TrainedRows, const StoredTensor*>> result;
  std::vector<const TrainableTokens*> without;
  const std::string end = rows_name("");
  auto embedding = std::find_if(all.begin(), all.end(), [](const LinearShape& map) { return map.is_embedding; });
  for (const TrainableTokens& entry : config.trainable_token_indices) {
    std::size_t before = result.size();
    for (const auto& [name, tensor] : tensors.all()) {
      if (!name.ends_with(end)) continue;
      std::string module = name.substr(0, name.size() - end.size());
      bool is_embedding = embedding == all.end() ? module != head_module : module == embedding->name;
      if (!is_module_of(entry, module, is_embedding)) continue;
      result.push_back({{module, entry.ids, {}}, tensor});
      if (tensor->shape.size() != 2 || tensor->shape[0] != static_cast<std::int64_t>(entry.ids.size()))
        complaints.shape(tensor->name, fmt::format("[{}, width]", entry.ids.size()), tensor->shape_text());
    }
    if (result.size() == before) without.push_back(&entry);
  }
  for (const TrainableTokens* entry : without)
    if (std::none_of(result.begin(), result.end(), [&](const auto& rows) { return rows.first.ids == entry->ids; }))
      complaints.missing(adapter_prefix + rows_name(!entry->module.empty()   ? entry->module
                                                    : embedding == all.end() ? "embed_tokens"
                                                                             : embedding->name));
  return result;
}

/// An adapter's folder, opened for a model: first every tensor is used or named, then the values are read.
class AdapterReader {
 public:
  AdapterReader(const std::string& folder, const std::vector<LinearShape>& of_model, std::vector<std::string>* warnings)
      : warnings_(warnings),
        config_path_(folder + adapter_config_file),
        file_(read_adapter_config_file(config_path_, warnings)),
        tensors_(folder),
        own_(spelling_of(of_model.empty() ? "" : of_model.front().name)),
        theirs_(spelling_in(tensors_, own_)),
        all_(of_model) {
    fill_targets(file_, tensors_, config_path_, warnings);
    if (theirs_ != own_)
      for (LinearShape& map : all_) map.name = spelled(map.name, theirs_);
    modules_ = select_modules(file_, config_path_, all_, warnings);
    check_tying(file_, config_path_, modules_, warnings);
    variants_ = variants_of(file_.config, modules_, config_path_);
    ranks_.emplace(file_.config);
  }

  /// InputError for all that is missing, of another shape, or there without a use.
  void match(const FindBaseTensor& base) {
    expect_tensors_of_modules();
    rows_ = trained_rows(file_.config, tensors_, all_, complaints_);
    for (const auto& [each, tensor] : rows_) expected_.insert(rows_name(each.module));
    place_the_rest(base);
    if (std::string wrong = complaints_.text(); !wrong.empty())
      throw InputError(tensors_.path() + ": expected the tensors of the modules that " + (adapter_config_file + 1) +
                       " selects from the model, found " + wrong);
  }

  Adapter read(const DevicePtr& device, DType dtype, bool trainable) {
    auto values = [&](const StoredTensor& tensor, Shape shape) {
      return read_tensor(tensor, shape, device, dtype, trainable, tensors_.path());
    };
    Adapter adapter;
    adapter.config = file_.config;
    adapter.base_model = file_.base_model;
    for (std::size_t i = 0; i < modules_.size(); ++i) {
      const LinearShape& map = modules_[i];
      LoraModule module{
          .name = map.name, .scale = ranks_->scale(map.name), .layout = map.layout, .variant = variants_[i]};
      for (const VariantTensor& part : module.variant->tensors())
        module.*part.place = values(*tensors_.find(name_of(map.name, part)), part.shape(spec(map)));
      adapter.modules.push_back(std::move(module));
    }
    for (const auto& [name, tensor] : trained_) {
      const std::vector<std::int64_t>& shape = tensor->shape;
      if (shape.empty() || shape.size() > 2)
        throw InputError(tensors_.path() + ": " + tensor->name + ": expected a matrix or a vector, found " +
                         tensor->shape_text());
      Shape matrix{shape.size() > 1 ? shape[0] : 1, shape.back()};
      adapter.parameters_of_base.push_back({name, values(*tensor, matrix), tensor->dtype()});
    }
    for (auto& [each, tensor] : rows_) {
      each.values = values(*tensor, {tensor->shape[0], tensor->shape[1]});
      adapter.rows_of_base.push_back(std::move(each));
    }
    if (theirs_ != own_) respell(adapter, own_);
    return adapter;
  }

 private:
  ModuleSpec spec(const LinearShape& map) const { return {file_.config, map, ranks_->rank(map.name)}; }

  void expect_tensors_of_modules() {
    for (std::size_t i = 0; i < modules_.size(); ++i)
      for (const VariantTensor& part : variants_[i]->tensors()) {
        std::string name = name_of(modules_[i].name, part);
        expected_.insert(name);
        const StoredTensor* tensor = tensors_.find(name);
        std::vector<std::int64_t> dimensions = part.dimensions(part.shape(spec(modules_[i])));
        if (!tensor)
          complaints_.missing(adapter_prefix + name);
        else if (tensor->shape != dimensions)
          complaints_.shape(tensor->name, fmt::format("[{}]", fmt::join(dimensions, ", ")), tensor->shape_text());
      }
  }

  /// What no module expects: parameters that were trained too, other parts' of the model, repeated ones of the base.
  void place_the_rest(const FindBaseTensor& base) {
    std::set<std::string> adapted;
    for (const LinearShape& map : modules_) adapted.insert(map.name);
    std::size_t of_other_parts = 0;
    for (const auto& [name, tensor] : tensors_.all()) {
      if (expected_.count(name)) continue;
      if (theirs_ != Spelling::itself && !is_in_text_part(name)) {
        ++of_other_parts;
        continue;
      }
      if (std::string parameter = trained_parameter(file_.config, adapted, name); !parameter.empty()) {
        trained_[parameter] = tensor;
        continue;
      }
      const StoredTensor* repeated = repeated_tensor(name, base);
      if (!repeated)
        complaints_.unexpected(tensor->name);
      else if (!has_values_of(*tensor, *repeated))
        refuse_trained(tensors_.path(), *tensor, *repeated);
    }
    for (const StoredTensor* tensor : tensors_.others()) complaints_.unexpected(tensor->name);
    if (warnings_ && of_other_parts > 0)
      warnings_->push_back(tensors_.path() + ": " + std::to_string(of_other_parts) +
                           " tensors are of other parts than the text model: they count for nothing here");
  }

  std::vector<std::string>* warnings_;
  std::string config_path_;
  AdapterConfigFile file_;
  AdapterTensors tensors_;
  Spelling own_, theirs_;
  std::vector<LinearShape> all_, modules_;
  std::vector<const LoraVariant*> variants_;
  std::optional<ModuleRanks> ranks_;
  TensorComplaints complaints_;
  std::set<std::string> expected_;
  std::vector<std::pair<TrainedRows, const StoredTensor*>> rows_;
  std::map<std::string, const StoredTensor*> trained_;  // by the parameter's name
};

}  // namespace

Adapter load_adapter(const std::string& folder, const DevicePtr& device, const std::vector<LinearShape>& of_model,
                     bool trainable, std::vector<std::string>* warnings, DType dtype, const FindBaseTensor& base) {
  require_adapter_folder(folder);
  AdapterReader reader(folder, of_model, warnings);
  reader.match(base);
  return reader.read(device, dtype, trainable);
}

LoraConfig read_adapter_config(const std::string& folder, std::string* base_model, std::vector<std::string>* warnings) {
  require_adapter_folder(folder);
  AdapterConfigFile file = read_adapter_config_file(folder + adapter_config_file, warnings);
  fill_targets(file, AdapterTensors(folder), folder + adapter_config_file, warnings);
  if (base_model) *base_model = file.base_model;
  return file.config;
}

}  // namespace loragrad
