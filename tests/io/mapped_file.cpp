#include "io/mapped_file.h"

#include <fstream>
#include <numeric>

#include "io/atomic.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// Resident pages of mapped files, in KiB.
std::int64_t resident_file_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (std::int64_t kib = 0; word == "RssFile:" && status >> kib) return kib;
  return 0;
}

}  // namespace

TEST_CASE("pages of a mapped file that are let go leave resident memory, and are read again") {
  constexpr std::size_t size = 32 << 20;
  TempFolder folder;
  put(folder / "file", std::string(size, 'x'));
  auto file = MappedFile::open(folder / "file");
  auto sum = [&] {
    return std::accumulate(file->data(), file->data() + size, std::int64_t{0},
                           [](std::int64_t total, std::byte b) { return total + static_cast<std::int64_t>(b); });
  };
  std::int64_t before = resident_file_kib(), all = sum();
  REQUIRE(resident_file_kib() > before + 31 * 1024);
  file->let_go(file->data() + 1000, 20);  // no whole page
  CHECK(resident_file_kib() > before + 31 * 1024);
  file->let_go(file->data() + 100, size - 200);
  CHECK(resident_file_kib() < before + 1024);
  CHECK(sum() == all);
}

TEST_CASE("an address tells which mapped file it lies in") {
  TempFolder folder;
  put(folder / "a", std::string(10'000, 'a'));
  put(folder / "b", std::string(10, 'b'));
  auto a = MappedFile::open(folder / "a"), b = MappedFile::open(folder / "b");
  CHECK(contains(cut_short_at(a->data()), folder / "a"));
  CHECK(contains(cut_short_at(a->data() + 9'999), folder / "a"));
  CHECK(contains(cut_short_at(b->data() + 9), folder / "b"));
  CHECK(contains(cut_short_in(a->data() - 1, 2), folder / "a"));
  int elsewhere = 0;
  CHECK(cut_short_at(&elsewhere) == nullptr);
  CHECK(cut_short_at(nullptr) == nullptr);
  const std::byte* gone = a->data();
  a.reset();
  CHECK(cut_short_at(gone) == nullptr);
  auto c = MappedFile::open(folder / "a");
  CHECK(contains(cut_short_at(c->data()), folder / "a"));
}

TEST_CASE("a file is mapped once while it is the same file") {
  TempFolder folder;
  put(folder / "a", std::string(10'000, 'a'));
  auto first = MappedFile::open(folder / "a"), second = MappedFile::open(folder / "a");
  CHECK(first == second);
  const std::byte* before = second->data();
  first.reset();
  CHECK(contains(cut_short_at(before), folder / "a"));  // somebody has it still
  // Under another name it is told of by that.
  std::filesystem::create_hard_link(folder / "a", folder / "b");
  CHECK(MappedFile::open(folder / "b")->path() == folder / "b");
  // Another file in its place.
  write_file(folder / "a", std::string(10'000, 'c'));
  auto third = MappedFile::open(folder / "a");
  CHECK(third != second);
  CHECK(third->text()[0] == 'c');
  CHECK(second->text()[0] == 'a');
  // The same file, longer.
  put(folder / "a", std::string(10'001, 'd'));
  CHECK(MappedFile::open(folder / "a")->text() == std::string(10'001, 'd'));
}

TEST_CASE("writing what a mapped file no longer has names that file") {
  TempFolder folder;
  put(folder / "a", std::string(100'000, 'a'));
  auto a = MappedFile::open(folder / "a");
  std::filesystem::resize_file(folder / "a", 0);
  CHECK(message_of<IoError>([&] { write_file(folder / "out", a->text()); }) ==
        (folder / "a") + ": cannot read: it was cut short, or its disk failed, while it was in use");
  CHECK(folder.names() == std::set<std::string>{"a"});
}
