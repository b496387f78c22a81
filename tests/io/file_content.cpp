#include "io/file_content.h"

#include "io/json.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;
using namespace std::string_literals;

namespace {

const std::string pointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 548118077\n";

/// What is said of the bytes, behind the path; "" when they are let pass.
std::string refusal(const std::string& bytes, Content expected) {
  try {
    refuse_other_content("f", bytes, expected);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a Git LFS pointer is told by every reader") {
  TempFolder folder;
  std::string file = folder / "f";
  put(file, pointer);
  std::string said =
      ", found a Git LFS pointer to it (the file has 548118077 bytes): run git lfs pull in its folder, or download it "
      "again";
  CHECK(message_of<InputError>([&] { read_file(file); }) == file + ": expected the file itself" + said);
  CHECK(message_of<InputError>([&] { MappedFile::open(file); }) == file + ": expected the file itself" + said);
  CHECK_THROWS_AS(read_json_file(file), InputError);
  CHECK_THROWS_AS(open_safetensors(file), InputError);
  // A text about pointers is none.
  CHECK(refusal(pointer + std::string(1000, 'x'), Content::any) == "");
}

TEST_CASE("files of another kind are told for what they are") {
  for (Content expected : {Content::text, Content::json, Content::safetensors}) {
    CHECK(contains(refusal("", expected), "found an empty file"));
    CHECK(contains(refusal("\x1f\x8b\x08\0\0\0\0\0"s, expected), "found a gzip file: decompress it with gunzip"));
    CHECK(contains(refusal("PK\x03\x04\x14\0\0\0"s, expected), "found a zip archive"));
    CHECK(contains(refusal("PAR1\x15\x04\0\0"s, expected), "found a Parquet table"));
    CHECK(contains(refusal("GGUF\x03\0\0\0"s, expected), "found a GGUF file"));
  }
  for (Content expected : {Content::text, Content::json}) {
    CHECK(contains(refusal("\xff\xfe{\0\"\0"s, expected), "found UTF-16: save it as UTF-8"));
    CHECK(contains(refusal("\xfe\xff\0{\0\""s, expected), "found UTF-16"));
    CHECK(contains(refusal("\x02\0\0\0\0\0\0\0{}"s, expected), "found a safetensors file"));
  }
  CHECK(contains(refusal("{\0\"\0a\0"s, Content::json), "found UTF-16"));
  CHECK(contains(refusal("\0{\0\""s, Content::json), "found UTF-16"));
  for (const char* page :
       {"<!DOCTYPE html><html>", "\n <HTML lang=\"en\">", "\xef\xbb\xbf<!doctype html>", "<?xml version="}) {
    CHECK(contains(refusal(page, Content::json), "found a web page"));
    CHECK(contains(refusal(page, Content::safetensors), "found a web page"));
    CHECK(refusal(page, Content::text) == "");  // somebody may train on it
  }
  CHECK(refusal("Entry not found", Content::safetensors) ==
        "f: expected a safetensors file, found a text that begins \"Entry not found\"");
}

TEST_CASE("what a reader expects, and texts that merely look odd, are let pass") {
  for (const char* text : {"{}", "[1]", "\xef\xbb\xbf{}", " \n{}", "GGUF and BZh are formats", "PAR1", "ab"}) {
    CHECK(refusal(text, Content::text) == "");
    CHECK(refusal(text, Content::json) == "");
  }
  CHECK(refusal("\x02\0\0\0\0\0\0\0{}"s, Content::safetensors) == "");
  CHECK(refusal("a\0b\0"s, Content::text) == "");  // NUL is a character
  CHECK(refusal("", Content::any) == "");
}
