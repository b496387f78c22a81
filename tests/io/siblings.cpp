#include "io/siblings.h"

#include "io/atomic.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace fs = std::filesystem;

TEST_CASE("names of what a run leaves behind") {
  for (const char* name : {".out.lock", ".out.tmp-1", ".out.tmp-123.7", ".out.old-5"})
    CHECK(is_left_over("d/out", name));
  for (const char* name : {"out", ".out", ".out.tmp-", ".out.tmp-x", ".out.tmp-1.", ".out.tmp-1.x", ".out.tmp-1x",
                           ".out.old", ".out.locks", ".out2.tmp-1", ".out.new-1", "out.tmp-1"})
    CHECK_FALSE(is_left_over("d/out", name));
  for (const char* name : {".out.lock", ".step-3.tmp-1", ".a.b.json.tmp-123.7", ".c.old-5"})
    CHECK(is_any_left_over(name));
  for (const char* name : {"out.lock", ".lock", "..lock", ".out.tmp-", ".out.tmp-x", ".gitignore", "tmp-1", ""})
    CHECK_FALSE(is_any_left_over(name));
}

TEST_CASE("the last part of a path") {
  for (const char* path : {"b", "b/", "a/b", "a/b/", "a/b//", "a/b/.", "a/b/./", "/b/", "./b", "a/c/../b/"})
    CHECK_MESSAGE(last_name(path) == "b", path);
  CHECK(last_name(".b.c") == ".b.c");
  CHECK(last_name(".") == ".");
  CHECK(last_name("../..") == "..");
  CHECK(last_name("/") == "");
  CHECK(last_name("") == "");
}

TEST_CASE("a folder is cleared of what dead processes left in it") {
  TempFolder folder;
  fs::create_directory(folder / ".step-3.tmp-77");
  put(folder / ".step-3.tmp-77/half", "x");
  put(folder / ".state.json.tmp-77", "x");
  put(folder / ".notes", "x");
  clear_folder(folder.path());
  CHECK(folder.names() == std::set<std::string>{".notes"});
}

TEST_CASE("who holds the lock clears what dead runs left") {
  TempFolder folder;
  for (const char* name : {".out.tmp-77", ".out.old-78", ".out.tmp-x", ".other.tmp-77"}) {
    fs::create_directory(folder / name);
    put((folder / name) + "/half", "x");
  }
  put(folder / "precious", "x");
  fs::create_symlink("../precious", folder / ".out.tmp-77/link");
  put(folder / ".out.tmp-79.1", "x");
  { AtomicFolder out(folder / "out", AtomicFolder::Existing::refuse); }
  // What was moved aside may be the only copy.
  CHECK(folder.names() == std::set<std::string>{".out.old-78", ".out.tmp-x", ".other.tmp-77", "precious"});
  fs::create_directory(folder / "out");
  { OutputLock lock(folder / "out"); }
  CHECK(folder.names() == std::set<std::string>{"out", ".out.tmp-x", ".other.tmp-77", "precious"});
}

TEST_CASE("a file that only has a lock's name is left alone") {
  TempFolder folder;
  put(folder / ".out.lock", "some other program's");
  CHECK(contains(message_of<IoError>([&] { OutputLock lock(folder / "out"); }), ".out.lock: expected no file"));
  CHECK(get(folder / ".out.lock") == "some other program's");
}

TEST_CASE("a name that is too long is found out before the work") {
  TempFolder folder;
  CHECK(contains(
      message_of<IoError>([&] { AtomicFolder(folder / std::string(256, 'n'), AtomicFolder::Existing::refuse); }),
      "File name too long"));
  CHECK(folder.names().empty());
}
