#pragma once
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace loragrad::fuzz {

/// What a target does with an input: reads it, and uses what was read. An Error (engine/error.h) is an answer; anything else that
/// leaves it, a sanitizer's report, or more memory or time than the driver grants, is a finding.
void read(std::string_view input);

/// Where what has to hold does not.
inline void expect(bool holds) {
  if (!holds) std::abort();
}

/// A folder of this process, in memory where there is such a place.
class Folder {
 public:
  Folder() {
    namespace fs = std::filesystem;
    std::string base = fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path().string();
    std::string name = base + "/loragrad-fuzz-XXXXXX";
    if (!::mkdtemp(name.data())) std::abort();
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, std::string_view content) const {
    std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
    return file;
  }

 private:
  std::string path_;
};

}  // namespace loragrad::fuzz
