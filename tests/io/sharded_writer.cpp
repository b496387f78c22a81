#include "io/sharded_writer.h"

#include <cstring>

#include "io/json.h"
#include "io/safetensors.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const float values[] = {1, 2, 3, 4, 5, 6};
const std::vector<TensorOutline> outlines{
    {"a", DType::f32, {2}}, {"d", DType::f32, {1}}, {"c", DType::f32, {6}}, {"b", DType::f32, {3}}};

std::set<std::string> written(const std::string& folder, std::uint64_t largest) {
  ShardedWriter file(folder, outlines, largest);
  // In another order than theirs.
  for (std::size_t i : {3, 0, 2, 1})
    file.add(outlines[i].name, values, static_cast<std::size_t>(outlines[i].shape[0]) * sizeof(float));
  file.commit();
  StoredTensors read = open_model_folder(folder);
  CHECK(read.tensors.size() == 4);
  for (const TensorOutline& outline : outlines) {
    const StoredTensor* tensor = read.find(outline.name);
    REQUIRE(tensor);
    CHECK(tensor->shape == outline.shape);
    CHECK(std::memcmp(tensor->bytes, values, tensor->byte_count) == 0);
  }
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

}  // namespace

TEST_CASE("a model in one file or as many as its size asks for") {
  using Names = std::set<std::string>;
  const std::string index = "model.safetensors.index.json";
  for (std::uint64_t largest : {largest_shard, std::uint64_t{48}}) {
    TempFolder folder;
    CHECK(written(folder.path(), largest) == Names{"model.safetensors"});
  }
  TempFolder two, three, four;
  CHECK(written(two.path(), 36) ==
        Names{index, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"});
  // 12 bytes of a and d, 24 of c, which are more than allowed, 12 of b.
  CHECK(written(three.path(), 23) == Names{index, "model-00001-of-00003.safetensors",
                                           "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"});
  CHECK(get(three / index) == R"({
  "metadata": {
    "total_size": 48
  },
  "weight_map": {
    "a": "model-00001-of-00003.safetensors",
    "b": "model-00003-of-00003.safetensors",
    "c": "model-00002-of-00003.safetensors",
    "d": "model-00001-of-00003.safetensors"
  }
}
)");
  CHECK(written(four.path(), 1).size() == 5);
}

TEST_CASE("names of a model's files") {
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "model-00012-of-00345.safetensors"})
    CHECK(is_model_file(name));
  for (const char* name : {"", "model-0001-of-00002.safetensors", "model-00001-of-0000x.safetensors",
                           "adapter_model.safetensors", "pytorch_model.bin", "model-00001-of-00002.safetensors.tmp"})
    CHECK_MESSAGE(!is_model_file(name), name);
}

TEST_CASE("what a model's files refuse leaves none") {
  TempFolder folder;
  CHECK_THROWS_AS(ShardedWriter(folder.path(), {outlines[0], outlines[0]}, 8), UsageError);
  CHECK_THROWS_AS(ShardedWriter(folder.path(), {{"a", DType::f32, {std::int64_t{1} << 62, 8}}}), UsageError);
  {
    ShardedWriter file(folder.path(), outlines, 12);
    CHECK_THROWS_AS(file.add("x", values, 4), UsageError);
    CHECK_THROWS_AS(file.add("a", values, 4), UsageError);
    file.add("a", values, 8);
    CHECK_THROWS_AS(file.commit(), UsageError);
  }
  CHECK(folder.names().empty());
  CHECK_THROWS_AS(ShardedWriter(folder / "none", outlines), IoError);
}
