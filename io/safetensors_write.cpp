#include "io/safetensors_write.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "engine/error.h"
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

/// "FILE: TENSOR: "
std::string where(const std::string& path, const std::string& name) {
  return path_text(path) + ": " + escaped(name, 400) + ": ";
}

std::uint64_t checked_bytes(const std::string& path, const TensorOutline& tensor) {
  if (tensor.name == "__metadata__")
    throw UsageError(where(path, tensor.name) + "expected another name: the format keeps this one");
  std::uint64_t bytes = size_of(tensor.dtype);
  bool wrong = tensor.shape.size() > 8;
  for (std::int64_t dim : tensor.shape) wrong |= dim < 0 || __builtin_mul_overflow(bytes, dim, &bytes);
  if (wrong || bytes > (std::uint64_t{1} << 62))
    throw UsageError(where(path, tensor.name) +
                     fmt::format("expected at most 8 dimensions and 2^62 bytes, found [{}] of {}",
                                 fmt::join(tensor.shape, ", "), format_name(tensor.dtype)));
  return bytes;
}

std::string metadata_text(const std::map<std::string, std::string>& metadata) {
  std::string text = "\"__metadata__\":{";
  std::string_view comma = "";
  for (const auto& [key, value] : metadata) {
    text += comma;
    append_json_string(text, key, false);
    text += ':';
    append_json_string(text, value, false);
    comma = ",";
  }
  return text + '}';
}

std::vector<const TensorOutline*> in_file_order(const std::vector<TensorOutline>& tensors) {
  std::vector<const TensorOutline*> sorted;
  for (const TensorOutline& tensor : tensors) sorted.push_back(&tensor);
  std::sort(sorted.begin(), sorted.end(), [](const TensorOutline* a, const TensorOutline* b) {
    return std::pair(order_of(a->dtype), std::string_view(a->name)) <
           std::pair(order_of(b->dtype), std::string_view(b->name));
  });
  return sorted;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string& path, const std::vector<TensorOutline>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : path_(path), file_(path) {
  std::string header = "{" + (metadata.empty() ? "" : metadata_text(metadata));
  std::string_view comma = metadata.empty() ? "" : ",";
  std::uint64_t begin = 0;
  for (const TensorOutline* tensor : in_file_order(tensors)) {
    std::uint64_t bytes = checked_bytes(path, *tensor);
    if (!places_.emplace(tensor->name, Place{begin, bytes, false}).second)
      throw UsageError(where(path, tensor->name) + "expected every tensor once, found it twice");
    header += comma;
    append_json_string(header, tensor->name, false);
    header += fmt::format(":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", format_name(tensor->dtype),
                          fmt::join(tensor->shape, ","), begin, begin + bytes);
    comma = ",";
    begin += bytes;
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');

  std::array<char, 8> length;
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(std::uint64_t{header.size()} >> (8 * i) & 0xff);
  file_.write(length.data(), length.size());
  file_.write(header);
  for (auto& [name, place] : places_) place.begin += length.size() + header.size();
}

void SafetensorsWriter::add(const std::string& name, const void* data, std::size_t size) {
  auto found = places_.find(name);
  if (found == places_.end()) throw UsageError(where(path_, name) + "expected a tensor of the header");
  Place& place = found->second;
  if (place.written) throw UsageError(where(path_, name) + "expected its values once, found them twice");
  if (size != place.size || (size > 0 && !data))
    throw UsageError(where(path_, name) + fmt::format("expected {} bytes of data, found {}", place.size,
                                                      data ? std::to_string(size) : "none"));
  file_.write_at(place.begin, data, size);
  place.written = true;
}

void SafetensorsWriter::commit() {
  for (const auto& [name, place] : places_)
    if (!place.written)
      throw UsageError(where(path_, name) + fmt::format("expected {} bytes of data, found none", place.size));
  file_.commit();
}

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorOutline> outlines;
  for (const TensorToWrite& tensor : tensors) outlines.push_back({tensor.name, tensor.dtype, tensor.shape});
  SafetensorsWriter file(path, outlines, metadata);
  for (std::size_t i = 0; i < tensors.size(); ++i)
    file.add(tensors[i].name, tensors[i].data, checked_bytes(path, outlines[i]));
  file.commit();
}

}  // namespace loragrad
