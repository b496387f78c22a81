#include "io/safetensors.h"
#include "tests/io/support.h"
#include "tests/io/torch_writer.h"

using namespace loragrad;
using namespace loragrad::test;

namespace fs = std::filesystem;

namespace {

const char* index_file = "model.safetensors.index.json";

void write_shard(const std::string& path, const std::vector<std::string>& names) {
  static const float values[] = {1, 2};
  std::vector<TensorToWrite> tensors;
  for (const std::string& name : names) tensors.push_back({name, DType::f32, {2}, values});
  write_safetensors(path, tensors);
}

/// A sound model of two shards: a and b in `one`, c in `two`.
struct Sharded {
  Sharded() {
    write_shard(folder / "one", {"a", "b"});
    write_shard(folder / "two", {"c"});
    index("\"a\":\"one\",\"b\":\"one\",\"c\":\"two\"");
  }
  void index(const std::string& entries) {
    put(folder / index_file, "{\"metadata\":{\"total_size\":24},\"weight_map\":{" + entries + "}}");
  }
  std::string refusal() {
    return message_of<InputError>([&] { open_model_folder(folder.path()); });
  }
  TempFolder folder;
};

}  // namespace

TEST_CASE("model folder with one file") {
  TempFolder folder;
  write_shard(folder / "model.safetensors", {"a"});
  CHECK(open_model_folder(folder.path()).tensors.size() == 1);
  put(folder / index_file, "not read");
  CHECK(open_model_folder(folder.path() + "/").tensors.size() == 1);
}

TEST_CASE("model folder with shards") {
  Sharded model;
  StoredTensors file = open_model_folder(model.folder.path());
  REQUIRE(file.tensors.size() == 3);
  CHECK(file.tensors[2].name == "c");
  CHECK(file.find("b")->file->path() == (model.folder / "one"));
  CHECK(file.metadata.at("format") == "pt");
}

TEST_CASE("model folder whose index lies about tensors") {
  Sharded model;
  write_shard(model.folder / "two", {"c", "a"});
  CHECK(contains(model.refusal(),
                 "weight_map: expected every tensor in exactly the shard listed, found a in both one and two"));
  write_shard(model.folder / "two", {"c", "x"});
  CHECK(contains(model.refusal(), "found unlisted x in two"));
  write_shard(model.folder / "two", {});
  CHECK(contains(model.refusal(), "found no c in two"));
  write_shard(model.folder / "one", {"a", "c"});
  write_shard(model.folder / "two", {"b", "y"});
  CHECK(contains(model.refusal(), "found c in one instead of two; b in two instead of one; unlisted y in two"));
}

TEST_CASE("model folder whose index names what it may not") {
  Sharded model;
  TempFolder elsewhere;
  write_shard(elsewhere / "two", {"c"});
  auto with = [&](const std::string& shard) {
    model.index("\"a\":\"one\",\"b\":\"one\",\"c\":" + shard);
    return model.refusal();
  };
  fs::create_directory(model.folder / "sub");
  write_shard(model.folder / "sub/two", {"c"});
  std::string up = "../" + fs::path(elsewhere.path()).filename().string() + "/two";
  for (const std::string& shard :
       {up, elsewhere / "two", std::string("sub/two"), std::string("./two"), std::string(".."), std::string("."),
        std::string(), std::string("sub\\\\two"), std::string("two\\u0000")})
    CHECK_MESSAGE(contains(with("\"" + shard + "\""), "weight_map.c: expected a plain file name in the same folder"),
                  shard);
  CHECK(contains(with("2"), "weight_map.c: expected a string, found 2"));
  fs::create_symlink(elsewhere / "two", model.folder / "link");
  CHECK(contains(with("\"link\""), "weight_map.c: expected a file in the same folder, not a link to "));
  model.index("\"a\":\"one\",\"b\":\"one\",\"c\":\"gone\"");
  CHECK(contains(message_of<IoError>([&] { open_model_folder(model.folder.path()); }),
                 "gone: cannot read: No such file or directory (model.safetensors.index.json names it)"));
  model.index("\"a\":\"one\",\"a\":\"one\"");
  CHECK(contains(model.refusal(), "weight_map.a: expected every key once"));
  put(model.folder / index_file, "{}");
  CHECK(contains(model.refusal(), "weight_map: expected this key"));
}

TEST_CASE("model folder of links") {
  // Within the folder, and as the hub's cache has it: snapshots of links into one folder of blobs.
  Sharded model;
  fs::create_symlink("two", model.folder / "alias");
  model.index("\"a\":\"one\",\"b\":\"one\",\"c\":\"alias\"");
  CHECK(open_model_folder(model.folder.path()).tensors.size() == 3);
  TempFolder cache;
  fs::create_directories(cache / "blobs");
  fs::create_directories(cache / "snapshots/1");
  for (const char* name : {"one", "two", index_file}) {
    fs::rename(model.folder / name, cache / "blobs/" + name);
    fs::create_symlink(std::string("../../blobs/") + name, cache / "snapshots/1/" + name);
  }
  put(cache / "blobs/" + index_file, "{\"weight_map\":{\"a\":\"one\",\"b\":\"one\",\"c\":\"two\"}}");
  CHECK(open_model_folder(cache / "snapshots/1").tensors.size() == 3);
}

TEST_CASE("folders without a model that we read") {
  TempFolder folder;
  CHECK(contains(message_of<IoError>([&] { open_model_folder(folder / "no"); }), "no: cannot read: No such file"));
  CHECK(message_of<IoError>([&] { open_model_folder(folder.path()); }) ==
        folder.path() + ": expected model.safetensors, pytorch_model.bin or their .index.json, found no model file");
  put(folder / "x.gguf", "");
  CHECK(contains(message_of<IoError>([&] { open_model_folder(folder.path()); }), "index.json, found x.gguf"));
  CHECK(contains(message_of<IoError>([&] { open_model_folder(folder / "x.gguf"); }),
                 "expected a model folder, found a file"));
  put(folder / "pytorch_model-00001-of-00002.bin", "");
  CHECK(contains(message_of<IoError>([&] { open_model_folder(folder.path()); }),
                 "index.json, found pytorch_model-00001-of-00002.bin, x.gguf"));
}

TEST_CASE("model folders of PyTorch's files") {
  TempFolder folder;
  const float first[] = {1, 2}, second[] = {3};
  put(folder / "pytorch_model.bin", torch_file_of({{"a", DType::f32, {2}, first}}));
  StoredTensors one = open_model_folder(folder.path());
  REQUIRE(one.tensors.size() == 1);
  CHECK(one.tensors[0].shape_text() == "[2]");
  // Shards, by the same rules.
  put(folder / "one.bin", torch_file_of({{"a", DType::f32, {2}, first}}));
  put(folder / "two.bin", torch_file_of({{"b", DType::f32, {1}, second}}));
  fs::remove(folder / "pytorch_model.bin");
  put(folder / "pytorch_model.bin.index.json", R"({"weight_map":{"a":"one.bin","b":"two.bin"}})");
  CHECK(open_model_folder(folder.path()).tensors.size() == 2);
  CHECK(open_model_folder(folder.path()).find("b")->file->path() == (folder / "two.bin"));
  put(folder / "pytorch_model.bin.index.json", R"({"weight_map":{"a":"two.bin","b":"two.bin"}})");
  CHECK(message_of<InputError>([&] { open_model_folder(folder.path()); }) ==
        folder / "pytorch_model.bin.index.json" +
            ": weight_map: expected every tensor in exactly the shard listed, found no a in two.bin");
  put(folder / "pytorch_model.bin.index.json", R"({"weight_map":{"a":"../one.bin"}})");
  CHECK(contains(message_of<InputError>([&] { open_model_folder(folder.path()); }), "expected a plain file name"));
  // transformers' order of choice.
  put(folder / "pytorch_model.bin", torch_file_of({{"c", DType::f32, {2}, first}}));
  CHECK(open_model_folder(folder.path()).find("c"));
  write_shard(folder / "three", {"d"});
  put(folder / index_file, R"({"weight_map":{"d":"three"}})");
  CHECK(open_model_folder(folder.path()).find("d"));
  write_shard(folder / "model.safetensors", {"e"});
  CHECK(open_model_folder(folder.path()).find("e"));
}

TEST_CASE("shards of a snapshot whose index is a file") {
  Sharded model;
  TempFolder cache, elsewhere;
  for (const char* name : {"models--o--m/blobs", "models--o--m/snapshots/1", "models--o--other/blobs"})
    fs::create_directories(cache / name);
  std::string snapshot = cache / "models--o--m/snapshots/1/";
  fs::copy_file(model.folder / index_file, snapshot + index_file);
  fs::copy_file(model.folder / "one", cache / "models--o--m/blobs/1111");
  fs::copy_file(model.folder / "two", cache / "models--o--other/blobs/2222");
  fs::create_symlink("../../blobs/1111", snapshot + "one");
  fs::create_symlink("../../../models--o--other/blobs/2222", snapshot + "two");
  CHECK(contains(message_of<InputError>([&] { open_model_folder(snapshot); }),
                 "weight_map.c: expected a file in the same folder, not a link to"));
  fs::copy_file(model.folder / "two", cache / "models--o--m/blobs/2222");
  fs::remove(snapshot + "two");
  fs::create_symlink("../../blobs/2222", snapshot + "two");
  CHECK(open_model_folder(snapshot).tensors.size() == 3);
}
