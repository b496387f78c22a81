#pragma once
#include <string>

namespace loragrad {

/// IoError unless `path` is a folder that holds `file` ("config.json" of a model, "adapter_config.json" of an adapter;
/// "": any folder but one of the hub's cache around it). The message says what is there and what to give instead: the
/// folder of a file, a folder within, a snapshot of the hub's cache, the command that downloads a name of the hub.
void require_folder_with(const std::string& path, const std::string& file);

/// The folder that `path` means, by io/hub_cache.h's local_folder, if it holds `file`. Else as require_folder_with.
std::string needed_folder(const std::string& path, const std::string& file);

}  // namespace loragrad
