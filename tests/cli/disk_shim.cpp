// With it the C library's headers call open open64, and both are defined here.
#undef _FILE_OFFSET_BITS
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

/// To be loaded before the program: what it does to the files below DISK_ROOT, looking at them too, is written down, one line of DISK_JOURNAL a
/// call, for tests/cli/disk.py to play again up to any of them; and call number DISK_FAIL_AT (from 1) ends with
/// DISK_ERRNO, or with DISK_SHORT writes a part. With DISK_FOREVER all that would need room fails from there on.
namespace {

template <class F>
F real(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

long number(const char* name) {
  const char* text = getenv(name);
  return text ? atol(text) : 0;
}

std::recursive_mutex mutex;

struct Disk {
  std::string root = getenv("DISK_ROOT") ? getenv("DISK_ROOT") : "";
  long fail_at = number("DISK_FAIL_AT"), error = number("DISK_ERRNO"), calls = 0;
  bool forever = getenv("DISK_FOREVER"), short_write = getenv("DISK_SHORT");
  FILE* journal = getenv("DISK_JOURNAL") ? fopen(getenv("DISK_JOURNAL"), "a") : nullptr;

  bool has(const std::string& path) const { return !root.empty() && path.rfind(root, 0) == 0; }
  /// Counts a call; whether it is to fail. `takes_room`: a full disk would refuse it.
  bool fails(bool takes_room) {
    ++calls;
    bool now = fail_at > 0 && (calls == fail_at || (forever && takes_room && calls > fail_at));
    if (now) errno = static_cast<int>(error);
    return now && !short_write;
  }
  bool cuts() const { return short_write && calls == fail_at; }
  void line(const char* format, ...) {
    if (!journal) return;
    va_list list;
    va_start(list, format);
    vfprintf(journal, format, list);
    va_end(list);
    fputc('\n', journal);
    fflush(journal);
  }
};

Disk& disk() {
  static Disk* one = new Disk;  // used until the very end
  return *one;
}

std::string absolute(int folder, const char* path) {
  if (path[0] == '/') return path;
  char link[64], base[4096];
  snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
  ssize_t size = readlink(link, base, sizeof base);
  return std::string(base, size > 0 ? static_cast<size_t>(size) : 0) + "/" + path;
}

std::string path_of(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path);
  return {path, size > 0 ? static_cast<size_t>(size) : 0};
}

unsigned long inode(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

/// A call on one name.
template <class Call>
int on_name(const std::string& path, const char* word, bool takes_room, Call call) {
  if (!disk().has(path)) return call();
  std::lock_guard lock(mutex);
  if (disk().fails(takes_room)) return -1;
  int result = call();
  disk().line("%s\t%s", result >= 0 ? word : "none", path.c_str());
  return result;
}

int open_file(int folder, const char* path, int flags, mode_t mode) {
  static const auto call = real<int (*)(int, const char*, int, ...)>("openat");
  std::string name = absolute(folder, path);
  if (!disk().has(name)) return call(folder, path, flags, mode);
  if ((flags & O_ACCMODE) == O_RDONLY)
    return on_name(name, "look", false, [&] { return call(folder, path, flags, mode); });
  std::lock_guard lock(mutex);
  bool is_new = access(name.c_str(), F_OK) != 0;
  if (disk().fails(true)) return -1;
  int fd = call(folder, path, flags, mode);
  if (fd >= 0 && is_new) disk().line("create\t%s\t%lu", name.c_str(), inode(fd));
  if (fd >= 0 && !is_new && (flags & O_TRUNC)) disk().line("truncate\t%lu\t0", inode(fd));
  return fd;
}

ssize_t write_file(int fd, const void* data, size_t size, off_t at) {
  static const auto call = real<ssize_t (*)(int, const void*, size_t)>("write");
  static const auto call_at = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  auto run = [&](size_t count) { return at < 0 ? call(fd, data, count) : call_at(fd, data, count, at); };
  if (!disk().has(path_of(fd))) return run(size);
  std::lock_guard lock(mutex);
  if (disk().fails(true)) return -1;
  off_t place = at < 0 ? lseek(fd, 0, SEEK_CUR) : at;
  ssize_t done = run(disk().cuts() ? std::max<size_t>(1, size / 2) : size);
  if (done > 0 && disk().journal) {
    std::string hex;
    for (ssize_t i = 0; i < done; ++i) {
      char two[3];
      snprintf(two, sizeof two, "%02x", static_cast<const unsigned char*>(data)[i]);
      hex += two;
    }
    disk().line("write\t%lu\t%ld\t%s", inode(fd), static_cast<long>(place), hex.c_str());
  }
  return done;
}

int cut_file(int fd, off_t size) {
  static const auto call = real<int (*)(int, off_t)>("ftruncate");
  if (!disk().has(path_of(fd))) return call(fd, size);
  std::lock_guard lock(mutex);
  if (disk().fails(false)) return -1;
  int result = call(fd, size);
  if (result == 0) disk().line("truncate\t%lu\t%ld", inode(fd), static_cast<long>(size));
  return result;
}

int move(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  static const auto call = real<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
  std::string old = absolute(from_folder, from), fresh = absolute(to_folder, to);
  if (!disk().has(old)) return call(from_folder, from, to_folder, to, flags);
  std::lock_guard lock(mutex);
  if (disk().fails(false)) return -1;
  int result = call(from_folder, from, to_folder, to, flags);
  if (result == 0)
    disk().line("%s\t%s\t%s", flags & RENAME_EXCHANGE ? "exchange" : "rename", old.c_str(), fresh.c_str());
  return result;
}

template <class Status>
int look(const char* name, const char* path, Status* status) {
  auto call = real<int (*)(const char*, Status*)>(name);
  return on_name(absolute(AT_FDCWD, path), "look", false, [&] { return call(path, status); });
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
  va_end(list);
  return open_file(AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) __attribute__((alias("open")));
int openat(int folder, const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
  va_end(list);
  return open_file(folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) __attribute__((alias("openat")));
DIR* opendir(const char* path) {
  static const auto call = real<DIR* (*)(const char*)>("opendir");
  DIR* folder = nullptr;
  on_name(absolute(AT_FDCWD, path), "look", false, [&] { return (folder = call(path)) ? 0 : -1; });
  return folder;
}

int stat(const char* path, struct stat* status) noexcept { return look("stat", path, status); }
int stat64(const char* path, struct stat64* status) noexcept { return look("stat64", path, status); }
int lstat(const char* path, struct stat* status) noexcept { return look("lstat", path, status); }
int lstat64(const char* path, struct stat64* status) noexcept { return look("lstat64", path, status); }

ssize_t write(int fd, const void* data, size_t size) { return write_file(fd, data, size, -1); }
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) { return write_file(fd, data, size, at); }
ssize_t pwrite64(int fd, const void* data, size_t size, off_t at) { return write_file(fd, data, size, at); }
int ftruncate(int fd, off_t size) noexcept { return cut_file(fd, size); }
int ftruncate64(int fd, off_t size) noexcept { return cut_file(fd, size); }

int fsync(int fd) {
  static const auto call = real<int (*)(int)>("fsync");
  if (!disk().has(path_of(fd)) && !disk().has(path_of(fd) + "/")) return call(fd);
  std::lock_guard lock(mutex);
  if (disk().fails(true)) return -1;
  // The disk of a test need not be safe.
  struct stat status {};
  fstat(fd, &status);
  if (S_ISDIR(status.st_mode))
    disk().line("syncfolder\t%s", path_of(fd).c_str());
  else
    disk().line("sync\t%lu", inode(fd));
  return 0;
}

int close(int fd) {
  static const auto call = real<int (*)(int)>("close");
  bool counts = fd > 2 && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY && disk().has(path_of(fd));
  if (!counts) return call(fd);
  std::lock_guard lock(mutex);
  bool fails = disk().fails(false);
  int result = call(fd);
  if (fails) errno = static_cast<int>(disk().error);
  disk().line("close");
  return fails ? -1 : result;
}

int rename(const char* from, const char* to) noexcept { return move(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) noexcept {
  return move(from_folder, from, to_folder, to, flags);
}
int unlink(const char* path) noexcept {
  static const auto call = real<int (*)(const char*)>("unlink");
  return on_name(absolute(AT_FDCWD, path), "unlink", false, [&] { return call(path); });
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  static const auto call = real<int (*)(int, const char*, int)>("unlinkat");
  return on_name(absolute(folder, path), flags & AT_REMOVEDIR ? "rmdir" : "unlink", false,
                 [&] { return call(folder, path, flags); });
}
int mkdir(const char* path, mode_t mode) noexcept {
  static const auto call = real<int (*)(const char*, mode_t)>("mkdir");
  return on_name(absolute(AT_FDCWD, path), "mkdir", true, [&] { return call(path, mode); });
}
int rmdir(const char* path) noexcept {
  static const auto call = real<int (*)(const char*)>("rmdir");
  return on_name(absolute(AT_FDCWD, path), "rmdir", false, [&] { return call(path); });
}
int remove(const char* path) noexcept {
  static const auto call = real<int (*)(const char*, struct stat*)>("lstat");
  struct stat status {};
  return call(path, &status) == 0 && S_ISDIR(status.st_mode) ? rmdir(path) : unlink(path);
}
}
