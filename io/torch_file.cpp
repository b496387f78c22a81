#include "io/torch_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "engine/error.h"
#include "io/file_content.h"
#include "io/json.h"
#include "io/message.h"
#include "io/tensor_pickle.h"
#include "io/zip.h"

namespace loragrad {
namespace {

/// The archive's files by their names below ROOT.
class Archive {
 public:
  explicit Archive(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
    for (ZipEntry& entry : read_zip(*file_)) {
      if (entries_.empty()) root_ = entry.name.substr(0, entry.name.find('/') + 1);
      std::string name = entry.name;
      entries_.emplace(std::move(name), std::move(entry));
    }
  }
  const ZipEntry* find(const std::string& name) const {
    auto at = entries_.find(root_ + name);
    return at == entries_.end() ? nullptr : &at->second;
  }
  std::string_view text(const ZipEntry& entry) const { return file_->text().substr(entry.begin, entry.size); }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::string root_;  // "ROOT/"
  std::map<std::string, ZipEntry> entries_;
};

/// Makes the tensors of one archive.
class TensorPlacer {
 public:
  explicit TensorPlacer(const Archive& archive) : archive_(archive) {}

  StoredTensor place(const PickledTensor& tensor) {
    where_ = path_text(archive_.file()->path()) + ": " + escaped(tensor.name, 400) + ": ";
    std::uint64_t element_bytes = dtype_bits(tensor.dtype_name).value() / 8;
    const std::byte* storage = find_storage(tensor, element_bytes);
    auto size = static_cast<std::int64_t>(element_bytes);
    std::int64_t elements = elements_within(tensor, size);
    StoredTensor placed{.name = tensor.name,
                        .dtype_name = tensor.dtype_name,
                        .shape = tensor.shape,
                        .bytes = storage + tensor.offset * size,
                        .byte_count = static_cast<std::size_t>(elements * size),
                        .file = archive_.file()};
    if (elements == 0 || is_in_order(tensor)) return placed;
    placed.copy = in_order(tensor, placed.bytes, element_bytes, placed.byte_count);
    placed.bytes = placed.copy->data();
    return placed;
  }

 private:
  [[noreturn]] void fail(const std::string& why) const { throw InputError(where_ + why); }

  const std::byte* find_storage(const PickledTensor& tensor, std::uint64_t size) {
    const ZipEntry* entry = archive_.find("data/" + tensor.storage);
    if (!entry) fail(fmt::format("expected its storage data/{} in the archive, found none", escaped(tensor.storage)));
    if (entry->size % size != 0 || entry->size / size != static_cast<std::uint64_t>(tensor.storage_elements))
      fail(fmt::format("expected a storage of {} elements of {}, found {} bytes", tensor.storage_elements,
                       tensor.dtype_name, entry->size));
    auto [first, is_new] = dtypes_.emplace(tensor.storage, tensor.dtype_name);
    if (!is_new && first->second != tensor.dtype_name)
      fail(fmt::format("expected a storage of one type, found {} and {}", first->second, tensor.dtype_name));
    return archive_.file()->data() + entry->begin;
  }

  /// How many elements there are, all of which lie in the storage.
  std::int64_t elements_within(const PickledTensor& tensor, std::int64_t size) const {
    auto text = [&] { return fmt::format("shape [{}] of {}", fmt::join(tensor.shape, ", "), tensor.dtype_name); };
    if (tensor.shape.size() > max_tensor_rank)
      fail(fmt::format("expected at most {} dimensions, found {}", max_tensor_rank, text()));
    std::int64_t elements = 1, bytes = 0, last = tensor.offset;
    bool empty = false, overflow = false;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      std::int64_t dim = tensor.shape[i], reach = 0;
      empty |= dim == 0;
      // A zero does not excuse its neighbours.
      if (dim != 0) overflow |= __builtin_mul_overflow(elements, dim, &elements);
      if (dim != 0) overflow |= __builtin_mul_overflow(dim - 1, tensor.strides[i], &reach);
      overflow |= __builtin_add_overflow(last, reach, &last);
    }
    overflow |= __builtin_mul_overflow(elements, size, &bytes);
    std::string strides = fmt::format("strides [{}] from {} on", fmt::join(tensor.strides, ", "), tensor.offset);
    if (overflow) fail(fmt::format("expected fewer than 2^63 bytes, found {}, {}", text(), strides));
    if (empty ? tensor.offset > tensor.storage_elements : last >= tensor.storage_elements)
      fail(fmt::format("expected elements within a storage of {}, found {}, {}", tensor.storage_elements, text(),
                       strides));
    if (!empty && elements > tensor.storage_elements)
      fail(fmt::format("expected no more elements than the {} of its storage, found {}, {}", tensor.storage_elements,
                       text(), strides));
    return empty ? 0 : elements;
  }

  /// Row-major without gaps. The stride of a dimension of one is nobody's.
  static bool is_in_order(const PickledTensor& tensor) {
    std::int64_t stride = 1;
    for (std::size_t i = tensor.shape.size(); i-- > 0;) {
      if (tensor.shape[i] != 1 && tensor.strides[i] != stride) return false;
      stride *= tensor.shape[i];
    }
    return true;
  }

  static std::shared_ptr<const std::vector<std::byte>> in_order(const PickledTensor& tensor, const std::byte* first,
                                                                std::size_t size, std::size_t byte_count) {
    auto copy = std::make_shared<std::vector<std::byte>>(byte_count);
    std::vector<std::int64_t> index(tensor.shape.size(), 0);
    std::int64_t at = 0;
    for (std::size_t done = 0; done < byte_count; done += size) {
      std::memcpy(copy->data() + done, first + at * static_cast<std::int64_t>(size), size);
      for (std::size_t i = index.size(); i-- > 0;) {
        at += tensor.strides[i];
        if (++index[i] < tensor.shape[i]) break;
        at -= tensor.shape[i] * tensor.strides[i];
        index[i] = 0;
      }
    }
    return copy;
  }

  const Archive& archive_;
  std::string where_;
  std::map<std::string, std::string> dtypes_;  // of storages
};

}  // namespace

StoredTensors open_torch_file(const std::string& path) {
  auto file = MappedFile::open(path);
  refuse_other_content(path, file->text(), Content::torch_zip);
  std::string where = path_text(path) + ": ";
  Archive archive(file);
  if (archive.find("constants.pkl")) throw InputError(where + "expected a state dict, found a program of TorchScript");
  const ZipEntry *pickle = archive.find("data.pkl"), *order = archive.find("byteorder");
  if (!pickle) throw InputError(where + "expected data.pkl in the archive, as torch.save writes it, found none");
  if (order && archive.text(*order) != "little")
    throw InputError(where + "byteorder: expected little, found " + escaped(archive.text(*order)));
  TensorPlacer placer(archive);
  StoredTensors result;
  for (const PickledTensor& tensor : read_tensor_pickle(archive.text(*pickle), where + "data.pkl"))
    result.tensors.push_back(placer.place(tensor));
  sort_by_name(result.tensors);
  return result;
}

}  // namespace loragrad
