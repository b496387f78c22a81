#include "io/stored_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/error.h"
#include "io/json.h"
#include "io/message.h"

namespace loragrad {
namespace {

/// Every dtype of the format, with the bits of an element.
struct DtypeBits {
  std::string_view name;
  std::uint64_t bits;
};
constexpr DtypeBits known_dtypes[] = {
    {"BOOL", 8},        {"U8", 8},          {"I8", 8},      {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},
    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},      {"U16", 16},
    {"I16", 16},        {"F16", 16},        {"BF16", 16},   {"U32", 32},    {"I32", 32},    {"F32", 32},
    {"U64", 64},        {"I64", 64},        {"F64", 64},    {"C64", 64},
};

}  // namespace

std::optional<std::uint64_t> dtype_bits(std::string_view name) {
  auto found = std::find_if(std::begin(known_dtypes), std::end(known_dtypes),
                            [&](const DtypeBits& known) { return known.name == name; });
  return found == std::end(known_dtypes) ? std::nullopt : std::optional(found->bits);
}

void sort_by_name(std::vector<StoredTensor>& tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const StoredTensor& a, const StoredTensor& b) { return a.name < b.name; });
}

DType StoredTensor::dtype() const {
  if (dtype_name == "F32") return DType::f32;
  if (dtype_name == "BF16") return DType::bf16;
  if (dtype_name == "F16") return DType::f16;
  if (dtype_name == "F64") return DType::f64;
  throw InputError(fmt::format("{}: {}: ", path_text(file ? file->path() : ""), escaped(name, 400)) +
                   "expected dtype F32, BF16, F16 or F64, found " + dtype_name);
}

HostBytes StoredTensor::host_bytes() const {
  if (copy) return {bytes, byte_count, copy};
  return {bytes, byte_count, file, file->descriptor(), static_cast<std::size_t>(bytes - file->data())};
}

void StoredTensor::let_go() const {
  if (!copy) file->let_go(bytes, byte_count);
}

std::string StoredTensor::shape_text() const { return fmt::format("[{}]", fmt::join(shape, ", ")); }

const StoredTensor* StoredTensors::find(std::string_view name) const {
  auto at = std::lower_bound(tensors.begin(), tensors.end(), name,
                             [](const StoredTensor& tensor, std::string_view key) { return tensor.name < key; });
  return at != tensors.end() && at->name == name ? &*at : nullptr;
}

}  // namespace loragrad
