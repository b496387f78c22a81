#include "io/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>

#include "engine/error.h"
#include "io/atomic.h"
#include "io/json.h"

namespace loragrad {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view magic = "GGUF";
constexpr std::uint32_t written_version = 3;
constexpr std::uint64_t usual_alignment = 32;
constexpr const char* alignment_key = "general.alignment";

// The format's numbers for types of values, and of tensors.
enum ValueType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };
enum TensorType : std::uint32_t { tensor_f32 = 0, tensor_f16 = 1, tensor_bf16 = 30 };

class Reader {
 public:
  Reader(const MappedFile& file, std::string path) : file_(file), path_(std::move(path)) {}

  template <class T>
  T number(const std::string& what) {
    T value;
    std::memcpy(&value, take(sizeof value, what), sizeof value);
    return value;
  }
  std::string string(const std::string& what) {
    auto size = number<std::uint64_t>(what);
    const std::byte* begin = take(size, what);
    return {reinterpret_cast<const char*>(begin), static_cast<std::size_t>(size)};
  }
  /// A value of a key, or of an array; nothing for an array itself, which is passed over.
  std::optional<GgufValue> value(std::uint32_t type, const std::string& key) {
    switch (type) {
      case text:
        return string(key);
      case array: {
        auto of = number<std::uint32_t>(key);
        auto count = number<std::uint64_t>(key);
        if (of == array) fail(key, "no array of arrays", "one");
        for (std::uint64_t i = 0; i < count; ++i) value(of, key);
        return std::nullopt;
      }
      case u8:
      case boolean:
        return double(number<std::uint8_t>(key));
      case i8:
        return double(number<std::int8_t>(key));
      case u16:
        return double(number<std::uint16_t>(key));
      case i16:
        return double(number<std::int16_t>(key));
      case u32:
        return double(number<std::uint32_t>(key));
      case i32:
        return double(number<std::int32_t>(key));
      case f32:
        return double(number<float>(key));
      case u64:
        return static_cast<double>(number<std::uint64_t>(key));
      case i64:
        return static_cast<double>(number<std::int64_t>(key));
      case f64:
        return number<double>(key);
      default:
        fail(key, "a type of value from 0 to 12", std::to_string(type));
    }
  }
  std::size_t at() const { return at_; }
  [[noreturn]] void fail(const std::string& key, const std::string& expected, const std::string& found) const {
    throw InputError(fmt::format("{}: {}: expected {}, found {}", path_, escaped(key, 200), expected, found));
  }

 private:
  const std::byte* take(std::uint64_t size, const std::string& what) {
    if (size > file_.size() - at_) fail(what, fmt::format("{} more bytes", size), std::to_string(file_.size() - at_));
    const std::byte* begin = file_.data() + at_;
    at_ += static_cast<std::size_t>(size);
    return begin;
  }
  const MappedFile& file_;
  std::string path_;
  std::size_t at_ = 0;
};

DType tensor_dtype(const Reader& reader, const std::string& name, std::uint32_t type) {
  if (type == tensor_f32) return DType::f32;
  if (type == tensor_f16) return DType::f16;
  if (type == tensor_bf16) return DType::bf16;
  reader.fail(name, "f32, f16 or bf16 (types 0, 1, 30)", "type " + std::to_string(type));
}

std::uint64_t alignment_of(const Reader& reader, double given) {
  constexpr double most = 1 << 20;
  if (!(given >= 1 && given <= most && std::trunc(given) == given))
    reader.fail(alignment_key, "a whole number in [1, 2^20]", fmt::to_string(given));
  return static_cast<std::uint64_t>(given);
}

/// What a file is made of, as it grows.
class Bytes {
 public:
  template <class T>
  void number(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void string(std::string_view value) {
    number<std::uint64_t>(value.size());
    out_.append(value);
  }
  void align() { out_.resize((out_.size() + usual_alignment - 1) / usual_alignment * usual_alignment); }
  void append(const void* data, std::size_t size) { out_.append(static_cast<const char*>(data), size); }
  const std::string& text() const { return out_; }

 private:
  std::string out_;
};

}  // namespace

const std::string& GgufFile::text(const std::string& key) const {
  auto found = metadata.find(key);
  if (found == metadata.end() || !std::holds_alternative<std::string>(found->second))
    throw InputError(
        fmt::format("{}: {}: expected a text, found {}", path, key, found == metadata.end() ? "none" : "a number"));
  return std::get<std::string>(found->second);
}

double GgufFile::number(const std::string& key) const {
  auto found = metadata.find(key);
  if (found == metadata.end() || !std::holds_alternative<double>(found->second))
    throw InputError(
        fmt::format("{}: {}: expected a number, found {}", path, key, found == metadata.end() ? "none" : "a text"));
  return std::get<double>(found->second);
}

bool is_gguf(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  return MappedFile::open(path)->text().starts_with(magic);
}

GgufFile open_gguf(const std::string& path) {
  GgufFile result;
  result.path = path;
  result.file = MappedFile::open(path);
  Reader reader(*result.file, path);
  if (!result.file->text().starts_with(magic)) reader.fail("header", "GGUF", "something else");
  reader.number<std::uint32_t>("header");
  auto version = reader.number<std::uint32_t>("version");
  if (version != 2 && version != written_version) reader.fail("version", "2 or 3", std::to_string(version));
  auto tensors = reader.number<std::uint64_t>("number of tensors");
  auto values = reader.number<std::uint64_t>("number of values");
  std::set<std::string> keys;
  for (std::uint64_t i = 0; i < values; ++i) {
    std::string key = reader.string("key");
    if (!keys.insert(key).second) reader.fail(key, "one value of a key", "two");
    auto type = reader.number<std::uint32_t>(key);
    if (auto value = reader.value(type, key)) result.metadata.emplace(key, *value);
  }
  std::uint64_t alignment =
      keys.count(alignment_key) ? alignment_of(reader, result.number(alignment_key)) : usual_alignment;

  std::vector<std::uint64_t> offsets;
  std::set<std::string> names;
  for (std::uint64_t i = 0; i < tensors; ++i) {
    GgufTensor tensor;
    tensor.name = reader.string("tensor");
    if (!names.insert(tensor.name).second) reader.fail(tensor.name, "one tensor of a name", "two");
    auto dimensions = reader.number<std::uint32_t>(tensor.name);
    if (dimensions == 0 || dimensions > 2) reader.fail(tensor.name, "1 or 2 dimensions", std::to_string(dimensions));
    for (std::uint32_t d = 0; d < dimensions; ++d) {
      auto size = reader.number<std::uint64_t>(tensor.name);
      if (size > std::uint64_t{1} << 30) reader.fail(tensor.name, "at most 2^30 of a dimension", std::to_string(size));
      tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(size));
    }
    tensor.dtype = tensor_dtype(reader, tensor.name, reader.number<std::uint32_t>(tensor.name));
    offsets.push_back(reader.number<std::uint64_t>(tensor.name));
    result.tensors.push_back(std::move(tensor));
  }
  std::uint64_t begin = (reader.at() + alignment - 1) / alignment * alignment, size = result.file->size();
  for (std::size_t i = 0; i < result.tensors.size(); ++i) {
    GgufTensor& tensor = result.tensors[i];
    std::int64_t elements = 1;
    for (std::int64_t n : tensor.shape) elements *= n;
    std::uint64_t bytes = bytes_of(tensor.dtype, elements), room = size - std::min(begin, size);
    if (offsets[i] > room || bytes > room - offsets[i])
      reader.fail(tensor.name, fmt::format("{} bytes from {} on", bytes, offsets[i]), fmt::format("{} in all", room));
    tensor.bytes = result.file->data() + begin + offsets[i];
  }
  return result;
}

void write_gguf(const std::string& path, const std::vector<std::pair<std::string, GgufValue>>& metadata,
                const std::vector<GgufTensorToWrite>& tensors) {
  Bytes out;
  out.append(magic.data(), magic.size());
  out.number(written_version);
  out.number<std::uint64_t>(tensors.size());
  out.number<std::uint64_t>(metadata.size());
  for (const auto& [key, value] : metadata) {
    out.string(key);
    if (const auto* words = std::get_if<std::string>(&value)) {
      out.number<std::uint32_t>(text);
      out.string(*words);
    } else {
      out.number<std::uint32_t>(f32);
      out.number(static_cast<float>(std::get<double>(value)));
    }
  }
  std::uint64_t offset = 0;
  for (const GgufTensorToWrite& tensor : tensors) {
    out.string(tensor.name);
    out.number(static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto n = tensor.shape.rbegin(); n != tensor.shape.rend(); ++n) out.number(static_cast<std::uint64_t>(*n));
    out.number<std::uint32_t>(tensor_f32);
    out.number(offset);
    std::uint64_t size = tensor.values.size() * sizeof(float);
    offset += (size + usual_alignment - 1) / usual_alignment * usual_alignment;
  }
  out.align();
  for (const GgufTensorToWrite& tensor : tensors) {
    out.append(tensor.values.data(), tensor.values.size() * sizeof(float));
    out.align();
  }
  write_file(path, out.text());
}

}  // namespace loragrad
