#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "engine/error.h"
#include "io/atomic.h"
#include "io/json.h"
#include "io/message.h"
#include "io/safetensors.h"

namespace loragrad {
namespace {

std::string_view format_name(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "F64";
    case DType::f32:
      return "F32";
    case DType::i32:
      return "I32";
    case DType::bf16:
      return "BF16";
    default:
      return "F16";
  }
}

/// The place of a dtype in the reference library's order.
int order_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 0;
    case DType::f32:
      return 1;
    case DType::i32:
      return 2;
    case DType::bf16:
      return 3;
    default:
      return 4;
  }
}

std::uint64_t checked_bytes(const TensorToWrite& tensor, const std::string& where) {
  std::uint64_t bytes = size_of(tensor.dtype);
  bool wrong = tensor.shape.size() > 8;
  for (std::int64_t dim : tensor.shape) wrong |= dim < 0 || __builtin_mul_overflow(bytes, dim, &bytes);
  if (wrong || bytes > (std::uint64_t{1} << 62))
    throw UsageError(where + fmt::format("expected at most 8 dimensions and 2^62 bytes, found [{}] of {}",
                                         fmt::join(tensor.shape, ", "), format_name(tensor.dtype)));
  if (bytes > 0 && !tensor.data) throw UsageError(where + fmt::format("expected {} bytes of data, found none", bytes));
  return bytes;
}

}  // namespace

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const TensorToWrite*> sorted;
  for (const TensorToWrite& tensor : tensors) sorted.push_back(&tensor);
  std::sort(sorted.begin(), sorted.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    return std::pair(order_of(a->dtype), std::string_view(a->name)) <
           std::pair(order_of(b->dtype), std::string_view(b->name));
  });

  std::string header = "{";
  std::string_view comma = "";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      header += comma;
      append_json_string(header, key, false);
      header += ':';
      append_json_string(header, value, false);
      comma = ",";
    }
    header += '}';
  }
  std::vector<std::string_view> names;
  std::vector<std::uint64_t> sizes;
  std::uint64_t begin = 0;
  for (const TensorToWrite* tensor : sorted) {
    std::string where = path_text(path) + ": " + escaped(tensor->name, 400) + ": ";
    if (tensor->name == "__metadata__") throw UsageError(where + "expected another name: the format keeps this one");
    std::uint64_t bytes = checked_bytes(*tensor, where);
    header += comma;
    append_json_string(header, tensor->name, false);
    header += fmt::format(":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", format_name(tensor->dtype),
                          fmt::join(tensor->shape, ","), begin, begin + bytes);
    comma = ",";
    names.push_back(tensor->name);
    sizes.push_back(bytes);
    begin += bytes;
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  std::sort(names.begin(), names.end());
  if (auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    throw UsageError(
        fmt::format("{}: {}: expected every tensor once, found it twice", path_text(path), escaped(*twice, 400)));

  AtomicFile file(path);
  std::array<char, 8> length;
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(std::uint64_t{header.size()} >> (8 * i) & 0xff);
  file.write(length.data(), length.size());
  file.write(header);
  for (std::size_t i = 0; i < sorted.size(); ++i) file.write(sorted[i]->data, sizes[i]);
  file.commit();
}

}  // namespace loragrad
