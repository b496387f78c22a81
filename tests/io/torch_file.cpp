#include "io/torch_file.h"

#include <cstring>

#include "io/message.h"
#include "tests/io/support.h"
#include "tests/io/torch_writer.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const std::string golden = "tests/io/golden/";
const float values[] = {1, 2, 3, 4, 5, 6};
const std::string six(reinterpret_cast<const char*>(values), sizeof values);

std::string archive_of(const std::string& pickle, std::vector<ZipFile> files = {{"m/data/0", six}},
                       const ZipForm& form = {}) {
  files.insert(files.begin(), {"m/data.pkl", pickle});
  return zip_of(files, form);
}

StoredTensors open_archive(const std::string& archive) {
  TempFolder folder;
  put(folder / "x.bin", archive);
  return open_torch_file(folder / "x.bin");
}

std::string refusal(const std::string& archive) {
  std::string message = message_of<InputError>([&] { open_archive(archive); });
  return message.substr(message.find("x.bin: ") + 7);
}

std::string file_refusal(const std::string& name) {
  return message_of<InputError>([&] { open_torch_file(golden + name); });
}

/// A pickle of "a", whose storage is the six values.
std::string one(std::int64_t offset, const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides,
                std::int64_t elements = 6, const char* type = "FloatStorage", const char* key = "0") {
  return pickled_dict(pickled_text("a") + pickled_tensor(pickled_storage(type, key, elements), offset, shape, strides));
}

std::vector<float> floats(const StoredTensor& tensor) {
  std::vector<float> out(tensor.byte_count / sizeof(float));
  if (!out.empty()) std::memcpy(out.data(), tensor.bytes, tensor.byte_count);
  return out;
}

}  // namespace

TEST_CASE("what torch.save wrote is what safetensors has of it") {
  StoredTensors file = open_torch_file(golden + "tensors.bin");
  StoredTensors expected = open_safetensors(golden + "tensors.safetensors");
  REQUIRE(file.tensors.size() == expected.tensors.size());
  int copies = 0;
  for (std::size_t i = 0; i < expected.tensors.size(); ++i) {
    const StoredTensor &ours = file.tensors[i], &theirs = expected.tensors[i];
    CAPTURE(theirs.name);
    CHECK(ours.name == theirs.name);
    CHECK(ours.dtype_name == theirs.dtype_name);
    CHECK(ours.shape == theirs.shape);
    REQUIRE(ours.byte_count == theirs.byte_count);
    CHECK(std::memcmp(ours.bytes, theirs.bytes, theirs.byte_count) == 0);
    HostBytes bytes = ours.host_bytes();
    CHECK(bytes.data == ours.bytes);
    CHECK((bytes.file >= 0) == !ours.copy);
    ours.let_go();
    CHECK(std::memcmp(ours.bytes, theirs.bytes, theirs.byte_count) == 0);
    copies += ours.copy != nullptr;
  }
  // Only what lies in another order than its own is copied.
  for (const char* name : {"column", "corner", "transposed", "every_other", "permuted"}) CHECK(file.find(name)->copy);
  CHECK(copies == 5);
  // Two names of one storage are one tensor, and so is a row of it.
  CHECK(file.find("embed.weight")->bytes == file.find("head.weight")->bytes);
  CHECK(file.find("row")->bytes == file.find("embed.weight")->bytes + 3 * 5 * sizeof(float));
}

TEST_CASE("files that only look like tensors") {
  CHECK(contains(file_refusal("attack.bin"), "attack.bin: data.pkl: byte "));
  CHECK(contains(file_refusal("attack.bin"), "found GLOBAL posix.system"));
  CHECK(contains(file_refusal("protocol4.bin"), "expected PROTO 2 at the start, found PROTO 4"));
  CHECK(contains(file_refusal("nested.bin"), "data.pkl: model: expected a tensor, found a dict"));
  CHECK(contains(file_refusal("old.bin"),
                 "found PyTorch's format from before 1.6: torch.load it and torch.save it anew"));
  CHECK(contains(file_refusal("big_endian.bin"), "byteorder: expected little, found big"));
  CHECK(contains(file_refusal("tensors.safetensors"), "found a safetensors file"));
  CHECK(contains(refusal("version https://git-lfs.github.com/spec/v1\nsize 5\n"), "a Git LFS pointer"));
  CHECK(contains(refusal("<!doctype html>"), "a web page"));
  CHECK(contains(refusal(""), "an empty file"));
  CHECK(contains(refusal("\x80\x02}."), "a pickle of Python"));
  CHECK(contains(refusal("PK\x03\x04"), "zip archive: expected the record of an archive's end"));
  CHECK(contains(refusal(zip_of({{"m/data/0", six}})), "expected data.pkl in the archive, as torch.save writes it"));
  CHECK(contains(refusal(archive_of(one(0, {6}, {1}), {{"m/data/0", six}, {"m/constants.pkl", ""}})),
                 "expected a state dict, found a program of TorchScript"));
  CHECK_THROWS_AS(open_torch_file(golden), IoError);
  CHECK_THROWS_AS(open_torch_file(golden + "none.bin"), IoError);
}

TEST_CASE("elements by offset and strides, wherever their bytes lie") {
  for (std::size_t shift = 0; shift < 9; ++shift) {
    auto read = [&](std::int64_t offset, const std::vector<std::int64_t>& shape,
                    const std::vector<std::int64_t>& strides) {
      return floats(
          open_archive(archive_of(one(offset, shape, strides), {{"m/data/0", six}}, {.shift = shift})).tensors.at(0));
    };
    using Floats = std::vector<float>;
    CHECK(read(0, {2, 3}, {3, 1}) == Floats{1, 2, 3, 4, 5, 6});
    CHECK(read(0, {3, 2}, {1, 3}) == Floats{1, 4, 2, 5, 3, 6});
    CHECK(read(1, {2, 1, 2}, {3, 77, 1}) == Floats{2, 3, 5, 6});
    CHECK(read(5, {}, {}) == Floats{6});
    CHECK(read(4, {1, 2}, {1 << 30, 1}) == Floats{5, 6});
    CHECK(read(1, {2, 2}, {1, 1}) == Floats{2, 3, 3, 4});
    CHECK(read(6, {0, 5}, {5, 1}).empty());
  }
}

TEST_CASE("elements outside of a storage") {
  auto refused = [](std::int64_t offset, const std::vector<std::int64_t>& shape,
                    const std::vector<std::int64_t>& strides, const std::string& why) {
    std::string said = refusal(archive_of(one(offset, shape, strides)));
    CHECK_MESSAGE(contains(said, "a: expected " + why), said);
    CHECK(line_text(said).size() <= longest_line);
  };
  constexpr std::int64_t half = std::int64_t{1} << 32, most = INT64_MAX;
  refused(1, {6}, {1}, "elements within a storage of 6, found shape [6] of F32, strides [1] from 1 on");
  refused(6, {}, {}, "elements within");
  refused(7, {0}, {1}, "elements within");
  refused(0, {2, 3}, {4, 1}, "elements within");
  refused(0, {2, 4}, {3, 1}, "elements within");
  refused(0, {3, 3}, {1, 1}, "no more elements than the 6 of its storage");
  refused(0, {1 << 30}, {0}, "no more elements");
  // Products and sums that wrap, to zero and to something small.
  refused(0, {half, half}, {0, 0}, "fewer than 2^63 bytes");
  refused(0, {half, half}, {half, 1}, "fewer than 2^63 bytes");
  refused(0, {half, half, 0}, {1, 1, 1}, "fewer than 2^63 bytes");
  refused(0, {0, half, half}, {1, 1, 1}, "fewer than 2^63 bytes");
  refused(0, {most}, {1}, "fewer than 2^63 bytes");
  refused(0, {std::int64_t{1} << 61}, {0}, "fewer than 2^63 bytes");
  refused(0, {3}, {most}, "fewer than 2^63 bytes");
  refused(2, {2}, {most - 1}, "fewer than 2^63 bytes");
  refused(most, {2}, {1}, "fewer than 2^63 bytes");
  refused(most, {}, {}, "elements within");
  refused(half, {2}, {1}, "elements within");
  refused(0, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}, "at most 8 dimensions");
}

TEST_CASE("storages that are not what the pickle says") {
  CHECK(refusal(archive_of(one(0, {5}, {1}, 5))) == "a: expected a storage of 5 elements of F32, found 24 bytes");
  CHECK(contains(refusal(archive_of(one(0, {7}, {1}, 7))), "expected a storage of 7 elements of F32, found 24 bytes"));
  CHECK(contains(refusal(archive_of(one(0, {2}, {1}, (std::int64_t{1} << 62) + 6))), "found 24 bytes"));
  CHECK(contains(refusal(archive_of(one(0, {3}, {1}, 3), {{"m/data/0", six.substr(0, 13)}})), "found 13 bytes"));
  CHECK(contains(refusal(archive_of(one(0, {6}, {1}, 6, "FloatStorage", "1"))),
                 "a: expected its storage data/1 in the archive, found none"));
  for (const char* key : {"../data.pkl", "../../etc/passwd", "", "0/../0"})
    CHECK(contains(refusal(archive_of(one(0, {6}, {1}, 6, "FloatStorage", key))), "in the archive, found none"));
  std::string both = pickled_text("a") + pickled_tensor(pickled_storage("FloatStorage", "0", 6), 0, {6}, {1}) +
                     pickled_text("b") + pickled_tensor(pickled_storage("IntStorage", "0", 6), 0, {6}, {1});
  CHECK(contains(refusal(archive_of(pickled_dict(both))), "b: expected a storage of one type, found F32 and I32"));
}
