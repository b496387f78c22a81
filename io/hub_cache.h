#pragma once
#include <optional>
#include <string>

namespace loragrad {

enum class HubKind { model, dataset };

/// The folder of the hub's cache: HF_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
/// ~/.cache/huggingface/hub. It need not exist; "" when none of these is set.
std::string hub_cache_folder();

/// The snapshot of a repository's folder in the cache (models--ORG--NAME, with refs/, snapshots/ and blobs/) that
/// refs/main names, or the only one; "" when there is none, or several and no refs/main.
std::string hub_snapshot(const std::string& repository);

/// `path`, or where nothing is there and the cache has a model of that name (ORG/NAME, NAME, or its address), the
/// snapshot of it: a folder that is here wins.
std::string local_folder(const std::string& path);

/// For the end of an error about `path`, where something of the hub was meant: a repository's folder in the cache
/// instead of a snapshot in it, or its blobs/, refs/ or snapshots/; the cache itself; a name like ORG/NAME or its
/// address where no such folder is. ": ..." with the snapshot to use, or the command that downloads it; else "".
std::string hub_hint(const std::string& path, HubKind kind);

/// "ORG/NAME" of a model's name on the hub, or of a path into the cache (.../models--ORG--NAME/snapshots/...), ORG
/// absent where the cache has none; nothing for another path, or for a name that is a folder here.
std::optional<std::string> hub_id(const std::string& name_or_path);

/// What an adapter or a card calls a model's folder: "ORG/NAME" of one in the cache, which is the same model elsewhere
/// too, else its path.
std::string base_name_of(const std::string& folder);

/// Whether two of them are one repository. The hub does not tell case apart, and knows its oldest models without an
/// organisation too.
bool same_hub_id(std::string a, std::string b);

}  // namespace loragrad
