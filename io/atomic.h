#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace loragrad {

/// Writes `content` to a temporary sibling, fsyncs it, renames it over `path` and fsyncs the folder. Every call's
/// result, close included, is checked: IoError with the path and the system's reason, and the old file is whole.
void write_file(const std::string& path, std::string_view content);

/// The same for content that comes in pieces: write() to the temporary sibling `.NAME.tmp-PID`, then commit(). Without
/// commit the temporary is removed on destruction and the old file stays. All calls throw IoError.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();
  /// A file-size limit (RLIMIT_FSIZE) is an IoError too; `data` in a mapped file that was cut short is one that names
  /// that file.
  void write(const void* data, std::size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// From the byte `offset` of the file on, before or behind its end; write() goes on behind it.
  void write_at(std::size_t offset, const void* data, std::size_t size);
  void commit();

 private:
  std::string path_, temporary_;
  int fd_ = -1;
  bool committed_ = false;
};

/// One process per output: holds an exclusive flock on the sibling `.NAME.lock` for as long as it lives, then removes
/// the file; IoError, with the process id, when another has it. A file left by a process that was killed locks nothing,
/// and what else such processes left is removed (io/siblings.h); a file of that name that is no lock is an IoError. On
/// a file system without locks everyone gets one, and nothing is removed.
class OutputLock {
 public:
  explicit OutputLock(const std::string& path);
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;
  ~OutputLock();

 private:
  int fd_ = -1;
  std::string lock_;
};

/// A folder that appears complete or not at all: fill `staging()`, then `commit()`. Files in it are fsynced by whoever
/// writes them (write_file, write_safetensors). Without commit the staging folder is removed on destruction. Whoever
/// else wants to write to the same path meanwhile is refused at once, not after hours of work that one of the two would
/// lose.
class AtomicFolder {
 public:
  enum class Existing { refuse, replace };
  /// The staging folder is the sibling `.NAME.tmp-PID`. `replace` removes an existing folder only after the new one is
  /// in place: the two change places at once where the file system can, else the old one is moved aside first, and
  /// moved back should the second step fail. Throws IoError at once when `path` exists and may not be replaced, its
  /// parent cannot be written, its name is too long, something is mounted there (it could not be renamed), or another
  /// process is writing it. A `path` that is a link to a folder means that folder.
  AtomicFolder(const std::string& path, Existing existing);
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  ~AtomicFolder();
  const std::string& staging() const { return staging_; }
  /// From now on the place is `path` and `ending`, where nothing may be yet; returns it.
  const std::string& go_beside(const std::string& ending);
  /// Puts the folder in place. IoError leaves what was there before, except when only the removal of the old one
  /// failed: then the message says so.
  void commit();

 private:
  std::string path_;
  std::optional<OutputLock> lock_;  ///< until commit
  std::string staging_;
  Existing existing_;
  bool committed_ = false;
};

}  // namespace loragrad
