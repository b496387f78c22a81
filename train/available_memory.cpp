#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <vector>

#include "engine/memory_limit.h"
#include "train/process_memory.h"

namespace loragrad {
namespace {

/// The number of the line that begins with `key`, in a file of "key number" lines; of a file with nothing but a number
/// where `key` is "". Nothing for "max", or where there is no such file or line.
std::optional<std::size_t> number_in(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string found;
    if (!key.empty() && !(words >> found && found == key)) continue;
    if (std::size_t number = 0; words >> number) return number;
  }
  return std::nullopt;
}

/// What differs between the two versions of control groups.
struct Version {
  const char *type, *limit, *used, *droppable;  ///< `type` is the file system's
  bool is_unified;
};
constexpr Version versions[] = {
    {"cgroup2", "/memory.max", "/memory.current", "inactive_file", true},
    {"cgroup", "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file", false}};

bool names_memory(const std::string& controllers) {
  return ("," + controllers + ",").find(",memory,") != std::string::npos;
}

/// The process's group below the root of its hierarchy: lines are "ID:CONTROLLERS:PATH".
std::optional<std::string> group_of(const std::string& proc, bool unified) {
  std::ifstream in(proc + "/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    if (unified ? controllers.empty() : names_memory(controllers)) return line.substr(second + 1);
  }
  return std::nullopt;
}

/// Where a hierarchy is mounted, and which of its groups shows there.
struct Mount {
  std::string root, point;
};
std::vector<Mount> mounts_of(const std::string& proc, const Version& version) {
  std::ifstream in(proc + "/self/mountinfo");
  std::vector<Mount> mounts;
  for (std::string line; std::getline(in, line);) {
    // ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [MORE ...] - TYPE SOURCE OPTIONS
    std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::string skipped, type, source, options;
    Mount mount;
    std::istringstream(line) >> skipped >> skipped >> skipped >> mount.root >> mount.point;
    std::istringstream(line.substr(dash + 3)) >> type >> source >> options;
    if (type == version.type && (version.is_unified || names_memory(options))) mounts.push_back(mount);
  }
  return mounts;
}

/// What is left to a group and all above it that show at the mount.
std::size_t left_to(const Version& version, const Mount& mount, std::string group) {
  std::size_t least = std::numeric_limits<std::size_t>::max();
  // In a container, what is mounted may be the container's own group, or one above it.
  if (mount.root != "/" && group.starts_with(mount.root)) group = group.substr(mount.root.size());
  for (;;) {
    if (group == "/") group.clear();
    std::string folder = mount.point + group;
    auto limit = number_in(folder + version.limit, ""), used = number_in(folder + version.used, "");
    if (limit && used) {
      std::size_t held = *used - std::min(*used, number_in(folder + "/memory.stat", version.droppable).value_or(0));
      least = std::min(least, *limit - std::min(*limit, held));
    }
    if (group.empty()) return least;
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

}  // namespace

std::size_t available_bytes(const std::string& proc) {
  auto kibibytes = number_in(proc + "/meminfo", "MemAvailable:");
  std::size_t available = kibibytes ? *kibibytes * 1024 : physical_bytes();
  for (const Version& version : versions)
    if (auto group = group_of(proc, version.is_unified))
      for (const Mount& mount : mounts_of(proc, version))
        available = std::min(available, left_to(version, mount, *group));
  std::optional<MemoryLimit> limit = memory_limit();
  return limit ? std::min(available, limit->left) : available;
}

}  // namespace loragrad
