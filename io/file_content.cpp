#include "io/file_content.h"

#include <algorithm>
#include <cctype>

#include "engine/error.h"
#include "io/json.h"
#include "io/message.h"

namespace loragrad {
namespace {

using namespace std::string_view_literals;

/// How files begin that are neither JSON nor text, and what to do with one.
struct Format {
  std::string_view start, name, remedy;
};
constexpr Format formats[] = {
    {"\x1f\x8b"sv, "a gzip file", "decompress it with gunzip"},
    {"\x28\xb5\x2f\xfd"sv, "a zstd file", "decompress it with unzstd"},
    {"\xfd\x37zXZ\0"sv, "an xz file", "decompress it with unxz"},
    {"BZh"sv, "a bzip2 file", "decompress it with bunzip2"},
    {"PK\x03\x04"sv, "a zip archive", "unpack it, or if it is PyTorch's .bin, save its tensors as safetensors"},
    {"PAR1"sv, "a Parquet table", "write its rows as JSON, one object a line"},
    {"ARROW1"sv, "an Arrow table", "write its rows as JSON, one object a line"},
    {"GGUF"sv, "a GGUF file", "take the safetensors and config.json that it was made from"},
    {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9"sv, "PyTorch's format from before 1.6",
     "torch.load it and torch.save it anew"},
    {"\x80\x02"sv, "a pickle of Python", "save its tensors as safetensors"},
    {"\x89HDF"sv, "an HDF5 file", "save its tensors as safetensors"},
    {"\x93NUMPY"sv, "a NumPy file", "save its tensors as safetensors"},
};

std::string_view wanted(Content expected) {
  switch (expected) {
    case Content::text:
      return "a text";
    case Content::json:
      return "JSON";
    case Content::safetensors:
      return "a safetensors file";
    case Content::torch_zip:
      return "a zip archive of tensors (torch.save)";
    default:
      return "the file itself";
  }
}

bool starts_without_case(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && std::equal(start.begin(), start.end(), text.begin(), [](char s, char t) {
           return s == std::tolower(static_cast<unsigned char>(t));
         });
}

bool is_web_page(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  for (std::string_view start : {"<!doctype html"sv, "<html"sv, "<?xml"sv})
    if (starts_without_case(text, start)) return true;
  return false;
}

/// "oid sha256:...\nsize 1234\n" ends a pointer.
std::string lfs_size(std::string_view pointer) {
  std::size_t at = pointer.find("\nsize ");
  if (at == std::string_view::npos) return "";
  std::string_view digits = pointer.substr(at + 6);
  digits = digits.substr(0, digits.find_first_not_of("0123456789"));
  return digits.empty() || digits.size() > 20 ? "" : " (the file has " + std::string(digits) + " bytes)";
}

/// With a byte order mark; for JSON, whose first characters are ASCII, also without one.
bool is_utf16(std::string_view bytes, bool json) {
  if (bytes.starts_with("\xff\xfe"sv) || bytes.starts_with("\xfe\xff"sv)) return true;
  if (!json || bytes.size() < 4) return false;
  bool low_first = bytes[0] && !bytes[1] && bytes[2] && !bytes[3];
  return low_first || (!bytes[0] && bytes[1] && !bytes[2] && bytes[3]);
}

/// No text has these control characters, and no UTF-8 these bytes.
bool is_binary(std::string_view head) {
  return std::any_of(head.begin(), head.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte < 9 || (byte > 13 && byte < 32) || byte > 0xf4;
  });
}

bool looks_like_safetensors(std::string_view bytes) { return bytes.size() > 9 && bytes.substr(4, 5) == "\0\0\0\0{"sv; }

}  // namespace

void refuse_other_content(const std::string& path, std::string_view bytes, Content expected) {
  auto refuse = [&](const std::string& found) {
    throw InputError(path_text(path) + ": expected " + std::string(wanted(expected)) + ", found " + found);
  };
  for (std::string_view start :
       {"version https://git-lfs.github.com/spec/"sv, "version https://hawser.github.com/spec/"sv})
    if (bytes.starts_with(start) && bytes.size() <= largest_lfs_pointer)
      refuse("a Git LFS pointer to it" + lfs_size(bytes) + ": run git lfs pull in its folder, or download it again");
  if (expected == Content::any) return;
  if (bytes.empty()) refuse("an empty file: was its download or copy cut short?");
  // Before the formats: a header's length may have the bytes that one of them begins with (640 a pickle's).
  if (expected == Content::safetensors && looks_like_safetensors(bytes)) return;
  if (expected == Content::torch_zip && bytes.starts_with("PK\x03\x04"sv)) return;
  std::string_view head = bytes.substr(0, 256);
  bool tensors = expected == Content::safetensors || expected == Content::torch_zip, binary = is_binary(head);
  // A text may begin with the letters GGUF.
  for (const Format& format : formats)
    if (binary && bytes.starts_with(format.start)) refuse(std::string(format.name) + ": " + std::string(format.remedy));
  if (!tensors && is_utf16(bytes, expected == Content::json))
    refuse("UTF-16: save it as UTF-8 (iconv -f UTF-16 -t UTF-8; in PowerShell, Out-File -Encoding utf8)");
  if (expected != Content::safetensors && looks_like_safetensors(bytes)) refuse("a safetensors file");
  if (expected != Content::text && is_web_page(bytes))
    refuse("a web page: its download failed (a login is needed, or the address has /blob/ where /resolve/ belongs)");
  // As a length, eight letters are more than any disk holds.
  if (tensors && !is_binary(bytes.substr(0, 8))) refuse("a text that begins \"" + escaped(head, 40) + "\"");
}

}  // namespace loragrad
