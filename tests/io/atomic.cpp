#include "io/atomic.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <optional>

#include "io/safetensors.h"
#include "tests/io/file_size_limit.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace fs = std::filesystem;

namespace {

/// Root may write to every folder, so it steps down to another user; the folder then belongs to that one.
class ReadOnly {
 public:
  explicit ReadOnly(const std::string& folder) : folder_(folder) {
    if (::geteuid() == 0) REQUIRE(::chown(folder.c_str(), 65534, 65534) == 0);
    REQUIRE(::chmod(folder.c_str(), 0555) == 0);
    if (::geteuid() == 0) REQUIRE(::seteuid(65534) == 0);
  }
  ~ReadOnly() {
    if (::getuid() == 0 && ::seteuid(0) != 0) std::abort();
    ::chmod(folder_.c_str(), 0755);
  }

 private:
  std::string folder_;
};

}  // namespace

TEST_CASE("write_file replaces whole files") {
  TempFolder folder;
  std::string path = folder / "f";
  write_file(path, "one");
  CHECK(get(path) == "one");
  write_file(path, std::string("\0two", 4));
  CHECK(get(path) == std::string("\0two", 4));
  write_file(path, "");
  CHECK(get(path).empty());
  CHECK(folder.names() == std::set<std::string>{"f"});
  std::string long_name(255, 'n');
  write_file(folder / long_name, "x");
  CHECK(get(folder / long_name) == "x");
}

TEST_CASE("write_file without a slash writes here") {
  TempFolder folder;
  fs::path before = fs::current_path();
  fs::current_path(folder.path());
  write_file("plain", "x");
  {
    AtomicFolder made("made/", AtomicFolder::Existing::refuse);
    made.commit();
  }
  fs::current_path(before);
  CHECK(folder.names() == std::set<std::string>{"plain", "made"});
}

TEST_CASE("a file that is not committed leaves the old one") {
  TempFolder folder;
  put(folder / "f", "old");
  {
    AtomicFile file(folder / "f");
    file.write("new");
    CHECK(folder.names() == std::set<std::string>{"f", ".f.tmp-" + std::to_string(::getpid())});
    CHECK(get(folder / "f") == "old");
  }
  CHECK(folder.names() == std::set<std::string>{"f"});
  CHECK(get(folder / "f") == "old");
}

TEST_CASE("a file is written from any byte on") {
  TempFolder folder;
  AtomicFile file(folder / "f");
  file.write("01");
  file.write_at(6, "67", 2);
  file.write("89");
  file.write_at(2, "2345", 4);
  file.commit();
  CHECK(get(folder / "f") == "0123456789");
}

TEST_CASE("what a crash left behind is in nobody's way") {
  TempFolder folder;
  std::string left = ".f.tmp-" + std::to_string(::getpid());
  put(folder / left, "half");
  write_file(folder / "f", "new");
  CHECK(get(folder / "f") == "new");
  CHECK(get(folder / left) == "half");
}

TEST_CASE("a file-size limit leaves the old file") {
  TempFolder folder;
  std::string path = folder / "f", weights = folder / "w.safetensors", big(100'000, 'x');
  std::vector<float> values(100'000, 1.0f);
  put(path, "old");
  put(weights, "old weights");
  std::string text_error, weights_error;
  {
    FileSizeLimit limit(4096);
    text_error = message_of<IoError>([&] { write_file(path, big); });
    weights_error = message_of<IoError>([&] {
      write_safetensors(weights, {{"w", DType::f32, {100'000}, values.data()}});
    });
  }
  CHECK(text_error == path + ": cannot write: File too large");
  CHECK(weights_error == weights + ": cannot write: File too large");
  CHECK(get(path) == "old");
  CHECK(get(weights) == "old weights");
  CHECK(folder.names() == std::set<std::string>{"f", "w.safetensors"});
  // The signal is neither pending nor blocked afterwards.
  sigset_t pending, blocked;
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  CHECK(sigismember(&pending, SIGXFSZ) == 0);
  CHECK(sigismember(&blocked, SIGXFSZ) == 0);
  write_file(path, big);
  CHECK(get(path) == big);
}

TEST_CASE("a read-only folder keeps its files") {
  TempFolder folder;
  fs::permissions(folder.path(), fs::perms(0755));
  fs::create_directory(folder / "d");
  fs::create_directory(folder / "d/sub");
  put(folder / "d/f", "old");
  std::string file_error, folder_error, replace_error;
  {
    ReadOnly guard(folder / "d");
    file_error = message_of<IoError>([&] { write_file(folder / "d/f", "new"); });
    folder_error = message_of<IoError>([&] { AtomicFolder(folder / "d/out", AtomicFolder::Existing::refuse); });
    replace_error = message_of<IoError>([&] { AtomicFolder(folder / "d/sub", AtomicFolder::Existing::replace); });
    CHECK_THROWS_AS(OutputLock(folder / "d/out"), IoError);
  }
  CHECK(file_error == (folder / "d/f") + ": cannot write: Permission denied");
  CHECK(folder_error == (folder / "d/out") + ": cannot write: Permission denied");
  CHECK(replace_error == (folder / "d/sub") + ": cannot write: Permission denied");
  CHECK(get(folder / "d/f") == "old");
}

TEST_CASE("places that cannot be written") {
  TempFolder folder;
  fs::create_directory(folder / "d");
  CHECK(message_of<IoError>([&] { write_file(folder / "d", "x"); }) ==
        (folder / "d") + ": cannot write: Is a directory");
  CHECK(contains(message_of<IoError>([&] { write_file(folder / "no/f", "x"); }), "no/f: cannot write: No such file"));
  CHECK_THROWS_AS(write_file("", "x"), IoError);
  CHECK_THROWS_AS(AtomicFolder("/", AtomicFolder::Existing::replace), IoError);
  CHECK_THROWS_AS(AtomicFolder((folder / "d") + "/..", AtomicFolder::Existing::replace), IoError);
  CHECK_THROWS_AS(AtomicFolder(folder / "no/out", AtomicFolder::Existing::refuse), IoError);
  put(folder / "f", "x");
  CHECK(contains(message_of<IoError>([&] { AtomicFolder(folder / "f", AtomicFolder::Existing::replace); }),
                 "f: expected a folder, found a file"));
}

TEST_CASE("a new folder appears complete") {
  TempFolder folder;
  AtomicFolder out(folder / "out/", AtomicFolder::Existing::refuse);
  CHECK(out.staging() == (folder / ".out.tmp-" + std::to_string(::getpid())));
  fs::create_directory(out.staging() + "/sub");
  write_file(out.staging() + "/sub/a", "1");
  CHECK_FALSE(fs::exists(folder / "out"));
  out.commit();
  CHECK(get(folder / "out/sub/a") == "1");
  CHECK(folder.names() == std::set<std::string>{"out"});
}

TEST_CASE("a folder that is not committed leaves nothing") {
  TempFolder folder;
  {
    AtomicFolder out(folder / "out", AtomicFolder::Existing::refuse);
    write_file(out.staging() + "/a", "1");
  }
  CHECK(folder.names().empty());
}

TEST_CASE("an existing folder is refused") {
  TempFolder folder;
  fs::create_directory(folder / "out");
  CHECK(contains(message_of<IoError>([&] { AtomicFolder(folder / "out", AtomicFolder::Existing::refuse); }),
                 "out: expected a folder that does not exist yet"));
  // Also one that came while we worked.
  AtomicFolder late(folder / "late", AtomicFolder::Existing::refuse);
  fs::create_directory(folder / "late");
  CHECK(contains(message_of<IoError>([&] { late.commit(); }), "late: cannot write: File exists"));
  CHECK(fs::is_empty(folder / "late"));
}

TEST_CASE("an existing folder is replaced as a whole") {
  TempFolder folder;
  fs::create_directory(folder / "out");
  put(folder / "out/old", "old");
  {
    AtomicFolder given_up(folder / "out", AtomicFolder::Existing::replace);
    write_file(given_up.staging() + "/new", "half");
  }
  CHECK(get(folder / "out/old") == "old");
  {
    AtomicFolder out(folder / "out", AtomicFolder::Existing::replace);
    write_file(out.staging() + "/new", "new");
    CHECK(get(folder / "out/old") == "old");
    out.commit();
  }
  CHECK(get(folder / "out/new") == "new");
  CHECK_FALSE(fs::exists(folder / "out/old"));
  CHECK(folder.names() == std::set<std::string>{"out"});
  // Where there is nothing to replace, replacing makes.
  AtomicFolder fresh(folder / "fresh", AtomicFolder::Existing::replace);
  fresh.commit();
  CHECK(fs::is_directory(folder / "fresh"));
}

TEST_CASE("a link to a folder stays a link") {
  TempFolder folder;
  fs::create_directories(folder / "disk/run");
  fs::create_symlink("disk/run", folder / "out");
  AtomicFolder out(folder / "out", AtomicFolder::Existing::replace);
  write_file(out.staging() + "/a", "1");
  out.commit();
  CHECK(fs::is_symlink(folder / "out"));
  CHECK(get(folder / "disk/run/a") == "1");
}

TEST_CASE("one process per output") {
  TempFolder folder;
  std::string out = folder / "out", lock = folder / ".out.lock";
  {
    AtomicFolder writer(out, AtomicFolder::Existing::refuse);
    CHECK(get(lock) == std::to_string(::getpid()));
    std::string refused = out + ": expected an output that no other process writes, found process " +
                          std::to_string(::getpid()) + " writing it";
    CHECK(message_of<IoError>([&] { AtomicFolder second(out + "/", AtomicFolder::Existing::replace); }) == refused);
    AtomicFolder other(folder / "other", AtomicFolder::Existing::refuse);
    pid_t child = ::fork();
    if (child == 0) {
      try {
        OutputLock second(out);
        ::_exit(0);
      } catch (const IoError&) {
        ::_exit(4);
      }
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 4);
    writer.commit();
  }
  CHECK(folder.names() == std::set<std::string>{"out"});
  AtomicFolder again(out, AtomicFolder::Existing::replace);
}

TEST_CASE("the lock of a killed process locks nothing") {
  TempFolder folder;
  put(folder / ".out.lock", "99999999");
  {
    OutputLock taken(folder / "out");
    CHECK(get(folder / ".out.lock") == std::to_string(::getpid()));
  }
  CHECK(folder.names().empty());
  CHECK_THROWS_AS(OutputLock(folder / "no/out"), IoError);
}
