#include "io/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/error.h"
#include "io/file_content.h"
#include "io/json.h"
#include "io/message.h"

namespace loragrad {
namespace {

constexpr std::uint64_t max_header_bytes = 100'000'000;
constexpr std::int64_t int64_max = std::numeric_limits<std::int64_t>::max();

struct Placed {
  StoredTensor tensor;
  std::uint64_t begin, end;  // in the data section
};

std::string place(const std::string& path, std::string_view name) {
  return fmt::format("{}: {}: ", path_text(path), escaped(name, 400));
}

/// The bytes that shape and dtype call for. Only sizes that int64 can hold, so that nothing later can wrap.
std::uint64_t expected_bytes(const StoredTensor& tensor, std::uint64_t bits, const std::string& path) {
  std::int64_t product = 1;
  bool empty = false, overflow = false;
  for (std::int64_t dim : tensor.shape) {
    // A zero does not excuse its neighbours: [0, 2^62, 2^62] has strides that wrap.
    if (dim == 0)
      empty = true;
    else
      overflow |= __builtin_mul_overflow(product, dim, &product);
  }
  std::int64_t total_bits = 0;
  if (!overflow && !empty) overflow = __builtin_mul_overflow(product, static_cast<std::int64_t>(bits), &total_bits);
  if (overflow)
    throw InputError(place(path, tensor.name) + "expected fewer than 2^63 elements and bits, found shape " +
                     tensor.shape_text() + " of " + tensor.dtype_name);
  if (total_bits % 8 != 0)
    throw InputError(place(path, tensor.name) + fmt::format("expected whole bytes, found shape {} of {}: {} bits",
                                                            tensor.shape_text(), tensor.dtype_name, total_bits));
  return static_cast<std::uint64_t>(total_bits) / 8;
}

Placed read_entry(const std::string& name, const JsonRef& entry, const std::string& path) {
  Placed placed{};
  StoredTensor& tensor = placed.tensor;
  tensor.name = name;
  tensor.dtype_name = entry.at("dtype").string();
  std::optional<std::uint64_t> bits = dtype_bits(tensor.dtype_name);
  if (!bits) entry.at("dtype").fail("a dtype of the safetensors format");
  JsonRef shape = entry.at("shape");
  if (!shape.is_array() || shape.size() > max_tensor_rank)
    shape.fail(fmt::format("a list of at most {} dimensions", max_tensor_rank));
  for (const JsonRef& dim : shape.elements()) tensor.shape.push_back(dim.integer(0, int64_max));
  JsonRef offsets = entry.at("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) offsets.fail("a list of two offsets");
  placed.begin = static_cast<std::uint64_t>(offsets[0].integer(0, int64_max));
  placed.end = static_cast<std::uint64_t>(offsets[1].integer(0, int64_max));
  if (placed.end < placed.begin) offsets.fail("an end not before the begin");
  std::uint64_t bytes = expected_bytes(tensor, *bits, path);
  if (placed.end - placed.begin != bytes)
    throw InputError(place(path, name) +
                     fmt::format("expected {} bytes for shape {} of {}, found {} (offsets {} to {})", bytes,
                                 tensor.shape_text(), tensor.dtype_name, placed.end - placed.begin, placed.begin,
                                 placed.end));
  return placed;
}

/// The tensors must tile the data section: no gap, no overlap, nothing left over.
void check_layout(std::vector<Placed>& tensors, std::uint64_t data_size, const std::string& path) {
  std::sort(tensors.begin(), tensors.end(),
            [](const Placed& a, const Placed& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t expected = 0;
  std::string before = "the header";
  for (const Placed& placed : tensors) {
    const std::string& name = placed.tensor.name;
    if (placed.begin != expected)
      throw InputError(place(path, name) + fmt::format("expected data that begins at byte {}, where {} ends, found {} "
                                                       "({})",
                                                       expected, escaped(before, 400), placed.begin,
                                                       placed.begin > expected ? "a gap" : "an overlap"));
    if (placed.end > data_size)
      throw InputError(place(path, name) +
                       fmt::format("expected its data at bytes {} to {}, found only {} bytes of data "
                                   "in the file",
                                   placed.begin, placed.end, data_size));
    expected = placed.end;
    before = name;
  }
  if (expected != data_size)
    throw InputError(fmt::format("{}: data: expected {} bytes, where {} ends, found {}", path_text(path), expected,
                                 escaped(before, 400), data_size));
}

void read_metadata(const JsonRef& metadata, std::map<std::string, std::string>& result) {
  for (const auto& [key, value] : metadata.members()) result[key] = value.string();
}

}  // namespace

StoredTensors open_safetensors(const std::string& path) {
  auto file = MappedFile::open(path);
  refuse_other_content(path, file->text(), Content::safetensors);
  std::string where = path_text(path) + ": ";
  if (file->size() < 8) throw InputError(where + fmt::format("expected at least 8 bytes, found {}", file->size()));
  std::uint64_t header_bytes = 0;
  for (int i = 7; i >= 0; --i) header_bytes = header_bytes << 8 | std::to_integer<std::uint64_t>(file->data()[i]);
  std::uint64_t after_length = file->size() - 8;
  if (header_bytes > max_header_bytes)
    throw InputError(where +
                     fmt::format("header length: expected at most {} bytes, found {}", max_header_bytes, header_bytes));
  if (header_bytes > after_length)
    throw InputError(where + fmt::format("header length: expected at most {} bytes in a file of {}, found {}",
                                         after_length, file->size(), header_bytes));
  std::string_view text = file->text().substr(8, header_bytes);
  if (text.starts_with("\xef\xbb\xbf")) throw InputError(where + "header: expected JSON, found a byte order mark");
  Json header = parse_json(text, path + ": header", JsonNumbers::strict);
  JsonRef root(header, path);
  if (!root.is_object()) JsonRef(header, path + ": header").fail("an object");

  StoredTensors result;
  std::vector<Placed> tensors;
  for (const auto& [name, entry] : root.members()) {
    if (name != "__metadata__")
      tensors.push_back(read_entry(name, entry, path));
    else if (!entry.is_null())
      read_metadata(entry, result.metadata);
  }
  check_layout(tensors, after_length - header_bytes, path);
  for (Placed& placed : tensors) {
    placed.tensor.bytes = file->data() + 8 + header_bytes + placed.begin;
    placed.tensor.byte_count = placed.end - placed.begin;
    placed.tensor.file = file;
    result.tensors.push_back(std::move(placed.tensor));
  }
  sort_by_name(result.tensors);
  return result;
}

}  // namespace loragrad
