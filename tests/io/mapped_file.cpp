#include "io/mapped_file.h"

#include <fstream>
#include <numeric>

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
