#include "train/process_memory.h"

#include <map>

#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace fs = std::filesystem;

namespace {

/// A /proc and control groups of this test's own.
struct MadeSystem {
  explicit MadeSystem(std::size_t available_kib) {
    fs::create_directories(folder / "proc/self");
    put(folder / "proc/meminfo",
        "MemTotal:       99999999 kB\nMemFree:  1 kB\nMemAvailable:   " + std::to_string(available_kib) + " kB\n");
  }
  void group(const std::string& path, const std::map<std::string, std::string>& files) {
    fs::create_directories(folder / path);
    for (const auto& [name, text] : files) put(folder / path + "/" + name, text + "\n");
  }
  void self(const std::string& groups, const std::string& mounts) {
    put(folder / "proc/self/cgroup", groups);
    put(folder / "proc/self/mountinfo", mounts);
  }
  std::size_t available() const { return available_bytes(folder / "proc"); }
  TempFolder folder;
};

}  // namespace

TEST_CASE("what the system says is available") {
  MadeSystem system(2000);
  CHECK(system.available() == 2000 * 1024);
  CHECK(available_bytes() > 0);
  CHECK(available_bytes() <= physical_bytes());
  CHECK(available_bytes(system.folder / "nothing") == physical_bytes());
}

TEST_CASE("a control group of version 2, and those above it") {
  MadeSystem system(1'000'000);
  std::string mount = "30 23 0:26 / " + (system.folder / "cg") + " rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
  system.group("cg", {{"memory.stat", "inactive_file 5"}});
  system.group("cg/a", {{"memory.max", "100000"},
                        {"memory.current", "70000"},
                        {"memory.stat", "anon 3\ninactive_file 20000\nactive_file 9"}});
  system.group("cg/a/b", {{"memory.max", "max"}, {"memory.current", "60000"}});
  system.group("cg/a/b/c", {{"memory.max", "90000"}, {"memory.current", "10000"}, {"memory.stat", "inactive_file 0"}});
  system.self("0::/a/b/c\n", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mount);
  CHECK(system.available() == 50'000);  // of a
  system.group("cg/a/b/c", {{"memory.current", "65000"}});
  CHECK(system.available() == 25'000);  // of c
  system.group("cg/a/b/c", {{"memory.current", "95000"}});
  CHECK(system.available() == 0);
  // In a container: its own group is the root of what it sees.
  system.group("own", {{"memory.max", "40000"}, {"memory.current", "30000"}, {"memory.stat", "inactive_file 1000"}});
  system.self("0::/\n", "30 23 0:26 / " + (system.folder / "own") + " ro - cgroup2 cgroup rw\n");
  CHECK(system.available() == 11'000);
  // A part of the hierarchy that is mounted elsewhere.
  system.self("0::/docker/x\n", "30 23 0:26 /docker/x " + (system.folder / "own") + " ro - cgroup2 cgroup rw\n");
  CHECK(system.available() == 11'000);
}

TEST_CASE("a control group of version 1") {
  MadeSystem system(1'000'000);
  system.group("memory", {{"memory.limit_in_bytes", "9223372036854771712"}, {"memory.usage_in_bytes", "1"}});
  system.group("memory/job", {{"memory.limit_in_bytes", "50000"},
                              {"memory.usage_in_bytes", "45000"},
                              {"memory.stat", "inactive_file 1\ntotal_inactive_file 5000"}});
  system.self("9:name=systemd:/\n4:cpu,memory:/job\n1:cpuset:/other\n0::/\n",
              "35 31 0:32 / " + (system.folder / "memory") + " rw,relatime - cgroup cgroup rw,memory,cpu\n" +
                  "36 31 0:33 / " + (system.folder / "x") + " rw,relatime - cgroup cgroup rw,devices\n");
  CHECK(system.available() == 10'000);
}
