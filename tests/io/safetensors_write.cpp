#include "io/safetensors_write.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "io/safetensors.h"
#include "tests/io/file_size_limit.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// Two tensors of 4000 bytes, of which the second is the first in the file, and one without a byte.
const std::vector<TensorOutline> outlines{
    {"b", DType::f32, {10, 100}}, {"a", DType::f32, {1000}}, {"none", DType::f32, {0, 3}}};

std::vector<float> counted(float from) {
  std::vector<float> values(1000);
  std::iota(values.begin(), values.end(), from);
  return values;
}

void add(SafetensorsWriter& file, const std::string& name, const std::vector<float>& values) {
  file.add(name, values.data(), values.size() * sizeof(float));
}

}  // namespace

TEST_CASE("tensors that come one by one, in any order, are the file of tensors that are all there") {
  TempFolder folder;
  std::vector<float> a = counted(1), b = counted(2000);
  write_safetensors(folder / "whole", {{"a", DType::f32, {1000}, a.data()},
                                       {"b", DType::f32, {10, 100}, b.data()},
                                       {"none", DType::f32, {0, 3}, nullptr}});
  std::vector<std::string> order{"a", "b", "none"};
  do {
    SafetensorsWriter file(folder / "parts", outlines);
    for (const std::string& name : order) add(file, name, name == "a" ? a : name == "b" ? b : std::vector<float>());
    CHECK_FALSE(std::filesystem::exists(folder / "parts"));
    file.commit();
    CHECK(get(folder / "parts") == get(folder / "whole"));
    std::filesystem::remove(folder / "parts");
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("what is not the header's is refused, and the old file stays") {
  TempFolder folder;
  std::string path = folder / "f";
  put(path, "old");
  {
    std::vector<float> values = counted(0);
    SafetensorsWriter file(path, outlines);
    CHECK(message_of<UsageError>([&] { add(file, "c", values); }) == path + ": c: expected a tensor of the header");
    CHECK(message_of<UsageError>([&] { file.add("a", values.data(), 3996); }) ==
          path + ": a: expected 4000 bytes of data, found 3996");
    CHECK(message_of<UsageError>([&] { file.add("a", nullptr, 4000); }) ==
          path + ": a: expected 4000 bytes of data, found none");
    add(file, "a", values);
    CHECK(message_of<UsageError>([&] { add(file, "a", values); }) ==
          path + ": a: expected its values once, found them twice");
    add(file, "none", {});
    CHECK(message_of<UsageError>([&] { file.commit(); }) == path + ": b: expected 4000 bytes of data, found none");
    CHECK(get(path) == "old");
  }
  CHECK(get(path) == "old");
  CHECK(folder.names() == std::set<std::string>{"f"});
}

TEST_CASE("an error between two tensors leaves nothing") {
  TempFolder folder;
  auto write = [&] {
    SafetensorsWriter file(folder / "f", outlines);
    add(file, "a", counted(0));
    CHECK(folder.names().size() == 1);
    throw std::runtime_error("the second cannot be computed");
  };
  CHECK_THROWS_AS(write(), std::runtime_error);
  CHECK(folder.names().empty());
}

TEST_CASE("a disk that is full after the first tensor, or within it, leaves nothing") {
  TempFolder folder;
  for (const char* first : {"a", "b"})
    for (rlim_t limit : {6000, 4300, 100}) {
      CAPTURE(first);
      CAPTURE(limit);
      std::string error;
      {
        FileSizeLimit full(limit);
        error = message_of<IoError>([&] {
          SafetensorsWriter file(folder / "f", outlines);
          for (const char* name : {first, *first == 'a' ? "b" : "a"}) add(file, name, counted(0));
        });
      }
      CHECK(error == (folder / "f") + ": cannot write: File too large");
      CHECK(folder.names().empty());
    }
}
