#include "io/zip.h"

#include "tests/io/support.h"
#include "tests/io/torch_writer.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const std::vector<ZipFile> files{{"a/one", "first"}, {"a/two", ""}, {"a/three", "and the third"}};

std::vector<ZipEntry> entries_of(const std::string& archive) {
  TempFolder folder;
  put(folder / "x.bin", archive);
  return read_zip(*MappedFile::open(folder / "x.bin"));
}

std::string refusal(const std::string& archive) {
  std::string message = message_of<InputError>([&] { entries_of(archive); });
  return message.substr(message.find("x.bin: ") + 7);
}

/// Bytes in place of those at the `which`-th occurrence of `at`, `offset` behind its begin.
std::string with(std::string archive, std::string_view at, std::size_t offset, const std::string& bytes,
                 int which = 0) {
  std::size_t found = archive.find(at);
  while (which-- > 0) found = archive.find(at, found + 1);
  REQUIRE(found != std::string::npos);
  return archive.replace(found + offset, bytes.size(), bytes);
}

const std::string header = "PK\x03\x04", entry = "PK\x01\x02", ending = "PK\x05\x06", wide_ending = "PK\x06\x06",
                  locator = "PK\x06\x07";

}  // namespace

TEST_CASE("archives of files that are stored as they are") {
  for (const ZipForm& form :
       {ZipForm{}, ZipForm{.wide = false}, ZipForm{.wide_sizes = true}, ZipForm{.comment = "PK\x05\x06 and more"}}) {
    std::string archive = zip_of(files, form);
    std::vector<ZipEntry> entries = entries_of(archive);
    REQUIRE(entries.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(entries[i].name == files[i].name);
      CHECK(archive.substr(entries[i].begin, entries[i].size) == files[i].content);
      CHECK(entries[i].begin % 64 == 0);
    }
  }
  CHECK(entries_of(zip_of({})).empty());
}

TEST_CASE("archives that are cut short, at every byte") {
  for (bool wide : {false, true}) {
    std::string archive = zip_of(files, {.wide = wide});
    for (std::size_t size = 1; size < archive.size(); ++size)
      CHECK_THROWS_AS(entries_of(archive.substr(0, size)), InputError);
    CHECK_THROWS_AS(entries_of(archive + "x"), InputError);
    CHECK_THROWS_AS(entries_of("x" + archive), InputError);
  }
  CHECK(contains(refusal("PK"), "expected the record of an archive's end, found none: was the file cut short?"));
}

TEST_CASE("entries that are refused") {
  std::string archive = zip_of(files);
  CHECK(refusal(with(archive, entry, 10, little(8, 2))) ==
        "zip archive: a/one: expected a file that is stored as it is, found one compressed by method 8");
  CHECK(contains(refusal(with(archive, entry, 20, little(4, 4))), "expected a file that is stored as it is"));
  CHECK(refusal(with(archive, entry, 8, little(1, 2))) == "zip archive: a/one: expected a file that is not encrypted");
  CHECK(refusal(zip_of({{"a/x", "1"}, {"a/x", "2"}})) == "zip archive: a/x: expected every name once");
  CHECK(contains(refusal(with(archive, header, 0, "PK\x03\x05")), "a/one: expected its header at byte 0"));
  CHECK(contains(refusal(with(archive, "a/one", 0, "b/one")), "a/one: expected the same name in its header"));
  // Two entries of one file's bytes, and one that reaches into another's header.
  std::string twice = with(archive, entry, 42, little(0, 4), 1);
  twice = with(twice, "a/two", 0, "a/one", 1);
  CHECK_THROWS_AS(entries_of(twice), InputError);
  std::string longer = with(with(archive, entry, 24, little(70, 4)), entry, 20, little(70, 4));
  CHECK(refusal(longer) == "zip archive: a/two: expected bytes of its own, found some of a/one");
  std::string beyond = with(with(archive, entry, 24, little(5000, 4), 2), entry, 20, little(5000, 4), 2);
  CHECK(contains(refusal(beyond), "a/three: expected 5000 bytes before the directory"));
}

TEST_CASE("sizes and places that wrap") {
  std::string archive = zip_of(files, {.wide_sizes = true});
  std::string extra = little(1, 2) + little(24, 2);
  for (std::uint64_t size : {~0ull, ~0ull - 64, 1ull << 63, 1ull << 32}) {
    std::string both = with(with(archive, extra, 4, little(size, 8)), extra, 12, little(size, 8));
    CHECK(contains(refusal(both), "a/one: expected "));
    CHECK(contains(refusal(with(archive, extra, 20, little(size, 8))), "a/one: expected its header at byte"));
    CHECK(contains(refusal(with(archive, wide_ending, 48, little(size, 8))), "expected "));
    CHECK(contains(refusal(with(archive, wide_ending, 40, little(size, 8))), "expected "));
    CHECK(contains(refusal(with(archive, wide_ending, 32, little(size, 8))), "expected "));
    CHECK(contains(refusal(with(archive, locator, 8, little(size, 8))), "expected zip64's record of the end"));
  }
  CHECK(contains(refusal(with(archive, extra, 2, little(16, 2))), "expected zip64's sizes"));
  CHECK(contains(refusal(with(archive, extra, 2, little(60000, 2))), "expected "));
}

TEST_CASE("directories that lie") {
  std::string archive = zip_of(files);
  // A reader without zip64 would find another directory.
  CHECK(contains(refusal(with(archive, ending, 10, little(2, 2))), "expected one directory, found another"));
  CHECK(contains(refusal(with(archive, ending, 16, little(1, 4))), "expected one directory, found another"));
  std::string narrow = zip_of(files, {.wide = false});
  CHECK(contains(refusal(with(narrow, ending, 10, little(2, 2))), "expected 2 entries in the directory, found more"));
  CHECK(
      contains(refusal(with(narrow, ending, 10, little(4, 2))), "expected 4 entries in the directory, found no entry"));
  CHECK(contains(refusal(with(narrow, ending, 12, little(1, 4))), "expected a directory that ends at byte"));
  CHECK(contains(refusal(with(narrow, ending, 16, little(1, 4))), "expected a directory that ends at byte"));
  CHECK(contains(refusal(with(narrow, ending, 4, little(1, 2))), "expected an archive of one file"));
  CHECK(contains(refusal(with(archive, wide_ending, 16, little(1, 4))), "expected an archive of one file"));
  CHECK_THROWS_AS(entries_of(with(narrow, entry, 28, little(60000, 2))), InputError);
  CHECK_THROWS_AS(entries_of(with(narrow, entry, 30, little(60000, 2), 2)), InputError);
}

TEST_CASE("no changed byte of an archive leads out of it") {
  for (const ZipForm& form : {ZipForm{}, ZipForm{.wide = false}, ZipForm{.wide_sizes = true}}) {
    std::string archive = zip_of(files, form);
    for (std::size_t at = 0; at < archive.size(); ++at)
      for (char byte : {'\0', '\x01', '\x7f', '\xff'}) {
        std::string changed = archive;
        changed[at] = byte;
        try {
          for (const ZipEntry& found : entries_of(changed))
            if (found.begin > changed.size() || found.size > changed.size() - found.begin) FAIL("byte " << at);
        } catch (const InputError&) {
        }
      }
  }
}
