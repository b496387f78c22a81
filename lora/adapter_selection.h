#pragma once
#include <string>
#include <vector>

#include "lora/files/adapter_config_json.h"
#include "lora/files/adapter_tensors.h"
#include "lora/layers.h"
#include "lora/variant.h"

/// Which modules of a model the configuration in an adapter's folder means. `path` is the configuration's, for messages.
namespace loragrad {

/// Where the configuration names no targets, the modules that have tensors are meant: PEFT's own default depends on
/// the model's family, and an adapter that was saved has been filled in.
void fill_targets(AdapterConfigFile& file, const AdapterTensors& tensors, const std::string& path,
                  std::vector<std::string>* warnings);
/// The modules that the configuration gives an adapter, and then the targets that say so without exclude_modules and
/// layers_to_transform, which are not kept.
std::vector<LinearShape> select_modules(AdapterConfigFile& file, const std::string& path,
                                        const std::vector<LinearShape>& all, std::vector<std::string>* warnings);
/// InputError where PEFT would tie what it adds to an embedding with the head that is tied to it.
void check_tying(const AdapterConfigFile& file, const std::string& path, const std::vector<LinearShape>& modules,
                 std::vector<std::string>* warnings);
/// The variant of each module; the configuration is the file's fault.
std::vector<const LoraVariant*> variants_of(const LoraConfig& config, const std::vector<LinearShape>& modules,
                                            const std::string& path);

}  // namespace loragrad
