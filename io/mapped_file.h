#pragma once
// Threads: after it has been made it is only read, by any number at a time.
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace loragrad {

/// A regular file mapped read-only and shared, so that processes share it through the page cache. Immutable; mapped once
/// while it is the same file, and unmapped when the last who opened it lets go.
class MappedFile {
 public:
  /// Throws IoError (missing, a folder, unreadable), with the path and the system's reason, and InputError for a Git
  /// LFS pointer (io/file_content.h).
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  const std::string& path() const { return path_; }
  /// Open for reading, for who would rather read than touch the map.
  int descriptor() const { return descriptor_; }
  /// Of [begin, begin + bytes) in this file: the whole pages leave the process's resident memory until they are read
  /// again.
  void let_go(const std::byte* begin, std::size_t bytes) const;
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  int descriptor_ = -1;
  std::string path_, cut_short_;
};

/// The line that says which file was cut short, where `address` lies in a MappedFile; else null. Reading a page that
/// the file no longer has, or whose disk fails, is SIGBUS: this is for a handler of that signal, and may be called in
/// one. The library installs none.
const char* cut_short_at(const void* address) noexcept;
/// The same of the first MappedFile that [begin, begin + bytes) touches: system calls that read such a page end with
/// EFAULT.
const char* cut_short_in(const void* begin, std::size_t bytes) noexcept;

/// Whether a folder has this name in it. A link that leads nowhere is there, and opening it is an error: a file that is
/// missing where it should be must not count as one that nobody wrote.
bool is_there(const std::filesystem::path& path);

/// A whole regular file as a string, for what is parsed and let go (a map would die with SIGBUS if the file were cut
/// short meanwhile). Errors as MappedFile::open's.
std::string read_file(const std::string& path);

/// "PATH: cannot DO: REASON", for an IoError; REASON is what the system says of `error` (an errno).
std::string system_message(const std::string& path, std::string_view what, int error);

}  // namespace loragrad
