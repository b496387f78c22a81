#include "io/zip.h"

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <set>

#include "engine/error.h"
#include "io/json.h"
#include "io/message.h"

namespace loragrad {
namespace {

constexpr std::uint32_t local_signature = 0x04034b50, entry_signature = 0x02014b50, end_signature = 0x06054b50,
                        wide_end_signature = 0x06064b50, locator_signature = 0x07064b50;
constexpr std::uint64_t local_size = 30, entry_size = 46, end_size = 22, wide_end_size = 56, locator_size = 20;
// In a field of 16 or 32 bits: zip64 has the value elsewhere.
constexpr std::uint64_t wide_16 = 0xffff, wide_32 = 0xffffffff;

/// Little-endian numbers of a file, none of which is read beyond its end.
class Bytes {
 public:
  Bytes(const MappedFile& file) : file_(file) {}

  std::uint64_t size() const { return file_.size(); }
  bool holds(std::uint64_t at, std::uint64_t size) const { return at <= this->size() && size <= this->size() - at; }
  template <std::unsigned_integral T>
  T number(std::uint64_t at) const {
    if (!holds(at, sizeof(T))) fail(fmt::format("expected a number at byte {}, found the file's end", at));
    T value = 0;
    for (std::size_t i = sizeof(T); i-- > 0;)
      value = static_cast<T>(std::uint64_t{value} << 8 | std::to_integer<std::uint64_t>(file_.data()[at + i]));
    return value;
  }
  std::string_view text(std::uint64_t at, std::uint64_t size) const {
    if (!holds(at, size)) fail(fmt::format("expected {} bytes at byte {}, found the file's end", size, at));
    return file_.text().substr(at, size);
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw InputError(path_text(file_.path()) + ": zip archive: " + why);
  }

 private:
  const MappedFile& file_;
};

struct Directory {
  std::uint64_t begin = 0, size = 0, entries = 0;
};

/// Where the record lies with which an archive ends. A comment may stand behind it.
std::uint64_t find_end(const Bytes& bytes) {
  std::uint64_t longest = std::min<std::uint64_t>(bytes.size(), end_size + 0xffff);
  for (std::uint64_t back = end_size; back <= longest; ++back) {
    std::uint64_t at = bytes.size() - back;
    if (bytes.number<std::uint32_t>(at) != end_signature) continue;
    if (bytes.number<std::uint16_t>(at + 20) == back - end_size) return at;
  }
  bytes.fail("expected the record of an archive's end, found none: was the file cut short?");
}

Directory find_directory(const Bytes& bytes) {
  std::uint64_t end = find_end(bytes);
  std::uint64_t parts = bytes.number<std::uint16_t>(end + 4) | bytes.number<std::uint16_t>(end + 6);
  Directory found{bytes.number<std::uint32_t>(end + 16), bytes.number<std::uint32_t>(end + 12),
                  bytes.number<std::uint16_t>(end + 10)};
  if (end >= locator_size && bytes.number<std::uint32_t>(end - locator_size) == locator_signature) {
    std::uint64_t wide = bytes.number<std::uint64_t>(end - locator_size + 8);
    if (!bytes.holds(wide, wide_end_size) || bytes.number<std::uint32_t>(wide) != wide_end_signature)
      bytes.fail(fmt::format("expected zip64's record of the end at byte {}, found none", wide));
    Directory narrow = found;
    found = {bytes.number<std::uint64_t>(wide + 48), bytes.number<std::uint64_t>(wide + 40),
             bytes.number<std::uint64_t>(wide + 32)};
    // A reader without zip64 must not find another directory.
    if ((narrow.begin != wide_32 && narrow.begin != found.begin) ||
        (narrow.size != wide_32 && narrow.size != found.size) ||
        (narrow.entries != wide_16 && narrow.entries != found.entries))
      bytes.fail("expected one directory, found another in zip64's record of the end");
    parts |= bytes.number<std::uint32_t>(wide + 16) | bytes.number<std::uint32_t>(wide + 20);
    end = wide;
  }
  if (parts != 0) bytes.fail("expected an archive of one file, found one of several");
  if (found.begin > end || found.size != end - found.begin)
    bytes.fail(fmt::format("expected a directory that ends at byte {}, found {} bytes from byte {} on", end, found.size,
                           found.begin));
  return found;
}

/// Sizes and place of an entry, which zip64 puts into an extra field where they do not fit.
struct Extent {
  std::uint64_t size, stored, header;
};

Extent read_extent(const Bytes& bytes, std::uint64_t at, std::uint64_t extra, std::uint64_t extra_size) {
  Extent extent{bytes.number<std::uint32_t>(at + 24), bytes.number<std::uint32_t>(at + 20),
                bytes.number<std::uint32_t>(at + 42)};
  std::uint64_t* fields[] = {&extent.size, &extent.stored, &extent.header};
  for (std::uint64_t end = extra + extra_size; end - extra >= 4;) {
    std::uint64_t kind = bytes.number<std::uint16_t>(extra), size = bytes.number<std::uint16_t>(extra + 2);
    extra += 4;
    if (size > end - extra) break;
    std::uint64_t next = extra + size;
    for (std::uint64_t* field : fields) {
      if (kind != 1 || *field != wide_32) continue;
      if (next - extra < 8) bytes.fail(fmt::format("expected zip64's sizes at byte {}, found none", extra));
      *field = bytes.number<std::uint64_t>(extra);
      extra += 8;
    }
    if (kind == 1) break;
    extra = next;
  }
  return extent;
}

/// An entry and all its bytes, header and content, at [first, content.begin + content.size).
struct Placed {
  ZipEntry content;
  std::uint64_t first = 0;
};

/// The entry at `at`, which is moved behind it.
Placed read_entry(const Bytes& bytes, std::uint64_t& at, const Directory& directory) {
  std::uint64_t end = directory.begin + directory.size;
  if (end - at < entry_size || bytes.number<std::uint32_t>(at) != entry_signature)
    bytes.fail(fmt::format("expected {} entries in the directory, found no entry at byte {}", directory.entries, at));
  std::uint64_t name_size = bytes.number<std::uint16_t>(at + 28), extra_size = bytes.number<std::uint16_t>(at + 30);
  std::uint64_t rest = name_size + extra_size + bytes.number<std::uint16_t>(at + 32);
  if (end - at - entry_size < rest) bytes.fail(fmt::format("expected an entry within the directory at byte {}", at));
  std::string name(bytes.text(at + entry_size, name_size));
  auto fail = [&](const std::string& why) { bytes.fail(escaped(name, 200) + ": " + why); };
  auto flags = bytes.number<std::uint16_t>(at + 8), method = bytes.number<std::uint16_t>(at + 10);
  Extent extent = read_extent(bytes, at, at + entry_size + name_size, extra_size);
  if (flags & 1) fail("expected a file that is not encrypted");
  if (method != 0 || extent.size != extent.stored)
    fail(fmt::format("expected a file that is stored as it is, found one compressed by method {}", method));
  std::uint64_t header = extent.header;
  if (header > directory.begin || directory.begin - header < local_size ||
      bytes.number<std::uint32_t>(header) != local_signature)
    fail(fmt::format("expected its header at byte {}, found none", header));
  std::uint64_t own_name = bytes.number<std::uint16_t>(header + 26);
  std::uint64_t begin = header + local_size + own_name + bytes.number<std::uint16_t>(header + 28);
  if (begin > directory.begin || extent.size > directory.begin - begin)
    fail(fmt::format("expected {} bytes before the directory at byte {}, found it at byte {}", extent.size,
                     directory.begin, begin));
  if (bytes.text(header + local_size, own_name) != name) fail("expected the same name in its header, found another");
  at += entry_size + rest;
  return {{name, begin, extent.size}, header};
}

}  // namespace

std::vector<ZipEntry> read_zip(const MappedFile& file) {
  Bytes bytes(file);
  Directory directory = find_directory(bytes);
  std::vector<Placed> places;
  std::set<std::string> names;
  std::uint64_t at = directory.begin, end = directory.begin + directory.size;
  for (std::uint64_t i = 0; i < directory.entries; ++i) {
    places.push_back(read_entry(bytes, at, directory));
    if (const std::string& name = places.back().content.name; !names.insert(name).second)
      bytes.fail(escaped(name, 200) + ": expected every name once");
  }
  if (at != end)
    bytes.fail(fmt::format("expected {} entries in the directory, found more at byte {}", directory.entries, at));
  std::vector<ZipEntry> entries;
  for (const Placed& placed : places) entries.push_back(placed.content);
  std::sort(places.begin(), places.end(), [](const Placed& a, const Placed& b) { return a.first < b.first; });
  for (std::size_t i = 1; i < places.size(); ++i) {
    const ZipEntry& before = places[i - 1].content;
    if (before.begin + before.size > places[i].first)
      bytes.fail(fmt::format("{}: expected bytes of its own, found some of {}", escaped(places[i].content.name, 200),
                             escaped(before.name, 200)));
  }
  return entries;
}

}  // namespace loragrad
