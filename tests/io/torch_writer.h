#pragma once
// A writer of what torch.save writes, with any lie that a test wants to tell.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/safetensors.h"

namespace loragrad::test {

/// The lowest bytes of a number, the lowest first.
std::string little(std::uint64_t value, std::size_t bytes);

struct ZipFile {
  std::string name, content;
};
struct ZipForm {
  bool wide = true;         ///< with zip64's record of the end, as PyTorch writes it; sizes that do not fit in any case
  bool wide_sizes = false;  ///< sizes and places in zip64's extra fields
  std::size_t shift = 0;    ///< contents begin at this place after a multiple of 64
  std::string comment = {};
};
std::string zip_of(const std::vector<ZipFile>& files, const ZipForm& form = {});

/// Instructions of a pickle.
std::string pickled_text(std::string_view text);
std::string pickled_global(std::string_view module, std::string_view name);
std::string pickled_number(std::int64_t value);
std::string pickled_storage(std::string_view type, std::string_view key, std::int64_t elements);
std::string pickled_tensor(const std::string& storage, std::int64_t offset, const std::vector<std::int64_t>& shape,
                           const std::vector<std::int64_t>& strides);
/// A whole pickle: `items` are names and values.
std::string pickled_dict(const std::string& items);

/// A pytorch_model.bin of these tensors, each with a storage of its own; `transposed`: matrices lie column by column.
std::string torch_file_of(const std::vector<TensorToWrite>& tensors, const ZipForm& form = {}, bool transposed = false);

}  // namespace loragrad::test
