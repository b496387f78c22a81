#pragma once
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "engine/error.h"

namespace loragrad::test {

/// A folder of its own for one test, removed at the end.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "loragrad-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = std::filesystem::canonical(name);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  std::set<std::string> names() const {
    std::set<std::string> result;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      result.insert(entry.path().filename().string());
    return result;
  }

 private:
  std::filesystem::path path_;
};

/// Plain C++ streams: the tests' own way to make and read files.
inline void put(const std::string& path, std::string_view content) {
  std::ofstream out(path, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  REQUIRE(out.good());
}
inline std::string get(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The message of the error of kind E that `action` throws; "" and a failed check when it throws none.
template <class E>
std::string message_of(const auto& action) {
  try {
    action();
  } catch (const E& error) {
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  } catch (const std::exception& error) {
    FAIL_CHECK("another kind of error: " << error.what());
    return "";
  }
  FAIL_CHECK("no error");
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  bool found = text.find(part) != std::string::npos;
  if (!found) MESSAGE("not found: " << part << " in: " << text);
  return found;
}

/// A file of the shared reference folder, or "" (said aloud) where that folder is missing.
inline std::string shared(const std::string& name) {
  const char* root = std::getenv("LORAGRAD_SHARED");
  std::string path = std::string(root ? root : "../shared") + "/" + name;
  if (std::filesystem::exists(path)) return path;
  MESSAGE("SKIPPED: no " << path << " (set LORAGRAD_SHARED)");
  return "";
}

}  // namespace loragrad::test
