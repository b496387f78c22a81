#include "tests/io/torch_writer.h"

namespace loragrad::test {

std::string little(std::uint64_t value, std::size_t bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>(i < 8 ? value >> 8 * i : 0);
  return out;
}

std::string zip_of(const std::vector<ZipFile>& files, const ZipForm& form) {
  std::string archive, directory;
  for (const ZipFile& file : files) {
    std::size_t header = archive.size(), size = file.content.size();
    std::size_t begin = header + 30 + file.name.size() + 4;
    std::size_t padding = (64 + form.shift - begin % 64) % 64;
    std::string extra = "FB" + little(padding, 2) + std::string(padding, 'Z');
    // As PyTorch's: sizes of 0 here, a checksum that nobody wrote.
    archive += "PK\x03\x04" + little(0, 2) + little(0x808, 2) + little(0, 2 + 4 + 12) + little(file.name.size(), 2) +
               little(extra.size(), 2) + file.name + extra + file.content;
    bool wide = form.wide_sizes;
    std::string own = wide ? little(1, 2) + little(24, 2) + little(size, 8) + little(size, 8) + little(header, 8) : "";
    // A field that nobody knows stands before it.
    if (wide) own = "xx" + little(3, 2) + "abc" + own;
    auto narrow = [&](std::size_t value) { return little(wide ? 0xffffffff : value, 4); };
    directory += "PK\x01\x02" + little(0, 4) + little(0x808, 2) + little(0, 2 + 4 + 4) + narrow(size) + narrow(size) +
                 little(file.name.size(), 2) + little(own.size(), 2) + little(0, 2 + 2 + 2 + 4) + narrow(header) +
                 file.name + own;
  }
  std::size_t begin = archive.size(), count = files.size(), end = begin + directory.size();
  archive += directory;
  if (form.wide)
    archive += "PK\x06\x06" + little(44, 8) + little(0x2d, 2) + little(0x2d, 2) + little(0, 8) + little(count, 8) +
               little(count, 8) + little(directory.size(), 8) + little(begin, 8) + "PK\x06\x07" + little(0, 4) +
               little(end, 8) + little(1, 4);
  return archive + "PK\x05\x06" + little(0, 4) + little(count, 2) + little(count, 2) + little(directory.size(), 4) +
         little(begin, 4) + little(form.comment.size(), 2) + form.comment;
}

std::string pickled_text(std::string_view text) { return "X" + little(text.size(), 4) + std::string(text); }

std::string pickled_global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}

std::string pickled_number(std::int64_t value) { return "\x8a\x08" + little(static_cast<std::uint64_t>(value), 8); }

std::string pickled_storage(std::string_view type, std::string_view key, std::int64_t elements) {
  return "(" + pickled_text("storage") + pickled_global("torch", type) + pickled_text(key) + pickled_text("cuda:1") +
         pickled_number(elements) + "tQ";
}

std::string pickled_tensor(const std::string& storage, std::int64_t offset, const std::vector<std::int64_t>& shape,
                           const std::vector<std::int64_t>& strides) {
  auto tuple = [](const std::vector<std::int64_t>& numbers) {
    std::string out = "(";
    for (std::int64_t number : numbers) out += pickled_number(number);
    return out + "t";
  };
  return pickled_global("torch._utils", "_rebuild_tensor_v2") + "(" + storage + pickled_number(offset) + tuple(shape) +
         tuple(strides) + "\x89" + pickled_global("collections", "OrderedDict") + ")RtR";
}

std::string pickled_dict(const std::string& items) {
  return "\x80\x02" + pickled_global("collections", "OrderedDict") + ")R(" + items + "u.";
}

std::string torch_file_of(const std::vector<TensorToWrite>& tensors, const ZipForm& form, bool transposed) {
  std::string items;
  std::vector<ZipFile> files{{"model/data.pkl", ""}, {"model/byteorder", "little"}};
  for (const TensorToWrite& tensor : tensors) {
    std::vector<std::int64_t> strides(tensor.shape.size());
    std::int64_t elements = 1;
    for (std::size_t i = strides.size(); i-- > 0;) {
      strides[i] = elements;
      elements *= tensor.shape[i];
    }
    std::size_t size = size_of(tensor.dtype);
    std::string values(static_cast<const char*>(tensor.data), static_cast<std::size_t>(elements) * size);
    if (transposed && strides.size() == 2) {
      strides = {1, tensor.shape[0]};
      auto rows = static_cast<std::size_t>(tensor.shape[0]), cols = static_cast<std::size_t>(tensor.shape[1]);
      std::string columns;
      for (std::size_t col = 0; col < cols; ++col)
        for (std::size_t row = 0; row < rows; ++row) columns += values.substr((row * cols + col) * size, size);
      values = columns;
    }
    std::string key = std::to_string(files.size());
    const char* type = tensor.dtype == DType::bf16  ? "BFloat16Storage"
                       : tensor.dtype == DType::f16 ? "HalfStorage"
                       : tensor.dtype == DType::f64 ? "DoubleStorage"
                                                    : "FloatStorage";
    items += pickled_text(tensor.name) + pickled_tensor(pickled_storage(type, key, elements), 0, tensor.shape, strides);
    files.push_back({"model/data/" + key, values});
  }
  files.push_back({"model/version", "3\n"});
  files.front().content = pickled_dict(items);
  return zip_of(files, form);
}

}  // namespace loragrad::test
