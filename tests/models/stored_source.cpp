// Tensors under the names and in the numbers that people's checkpoints have, and configurations that change what is
// computed of them: the losses are transformers' (golden/config.json).
#include <doctest/doctest.h>

#include <cstring>
#include <regex>

#include "engine/error.h"
#include "engine/half.h"
#include "io/safetensors.h"
#include "io/stored_values.h"
#include "models/files/base_hash.h"
#include "ops/meta_device.h"
#include "tests/device/test_device.h"
#include "tests/io/support.h"
#include "tests/io/torch_writer.h"
#include "tests/models/config_golden.h"
#include "tests/models/golden_case.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

struct NamedBytes {
  std::string name;
  const StoredTensor* like;
  std::vector<std::byte> bytes;
};

/// As make_config_golden.py's change_tensors: removed, copied, swapped, renamed, in this order.
void write_changed_tensors(const std::string& from, const JsonRef& change, const std::string& to) {
  StoredTensors file = open_model_folder(from);
  std::vector<NamedBytes> tensors;
  for (const StoredTensor& t : file.tensors) {
    bool removed = false;
    if (auto patterns = change.find("remove"))
      for (const std::string& pattern : patterns->strings())
        removed = removed || std::regex_search(t.name, std::regex(pattern));
    auto* bytes = static_cast<const std::byte*>(t.bytes);
    if (!removed) tensors.push_back({t.name, &t, {bytes, bytes + t.byte_count}});
  }
  auto named = [&](const std::string& name) -> NamedBytes& {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const NamedBytes& t) { return t.name == name; });
  };
  if (auto copies = change.find("copy"))
    for (const auto& [name, copy] : copies->members()) {
      NamedBytes same = named(name);
      same.name = copy.string();
      tensors.push_back(std::move(same));
    }
  if (auto swap = change.find("swap")) {
    auto* values = reinterpret_cast<float*>(named(swap->string()).bytes.data());
    std::swap(values[0], values[named(swap->string()).bytes.size() / 4 - 1]);
  }
  std::vector<TensorToWrite> written;
  for (NamedBytes& t : tensors) {
    if (auto names = change.find("rename"))
      for (const auto& [pattern, name] : names->members())
        t.name = std::regex_replace(t.name, std::regex(pattern), name.string());
    written.push_back({t.name, t.like->dtype(), t.like->shape, t.bytes.data()});
  }
  write_safetensors(to, written);
}

std::vector<float> logits_of(const CausalLm& model, const GoldenCase& rows) {
  Batch batch = rows.batch(model, 0, rows.rows.size());
  return model.logits({.batch = batch, .record = false}).values<float>();
}

}  // namespace

TEST_CASE("heads, prefixes and variants: the loss is that of transformers, frozen, trained and in a forecast") {
  Json golden = config_golden();
  int refused = 0;
  for (const JsonRef& change : JsonRef(golden, "golden").at("losses").elements()) {
    std::string text = change.json().dump();
    CAPTURE(text);
    std::string base = "tests/models/golden/" + change.at("model").string();
    TempFolder folder;
    write_changed_tensors(base + "/model", change, folder / "model.safetensors");
    put(folder / "config.json", changed_config(read_json_file(base + "/model/config.json"), change).dump());
    DevicePtr device = test_device(1);
    if (change.find("error")) {
      std::string message;
      try {
        load_model(folder.path(), device);
      } catch (const InputError& error) {
        message = error.what();
      }
      CHECK_MESSAGE(message.find("found missing: ") != std::string::npos, message);
      ++refused;
      continue;
    }
    GoldenCase rows = read_golden_case(base);
    std::int64_t parameters = 0;
    for (bool trainable : {false, true}) {
      auto model = load_model(folder.path(), device, {.precision = Precision::f32, .trainable = trainable});
      Batch batch = rows.batch(*model, 0, rows.rows.size());
      CrossEntropy loss = model->loss({.batch = batch}, 1);
      CHECK(loss.sum.item() / static_cast<double>(batch.supervised) ==
            doctest::Approx(change.at("loss").number(0, 100)).epsilon(2e-6));
      bool untied = change.find("swap") && change.at("set").at("tie_word_embeddings").boolean();
      bool told = untied || change.at("set").find("sliding_window");
      CHECK(model->config().warnings.size() == static_cast<std::size_t>(told));
      parameters = model->parameter_count();
      // What can be loaded can be told from other bases.
      CHECK(base_hash(*model, BaseTensors(*model, folder.path())).size() == 16);
    }
    LoadOptions forecast{.precision = Precision::f32, .trainable = true};
    CHECK(load_model(folder.path(), meta_device(device), forecast)->parameter_count() == parameters);
  }
  CHECK(refused == 15);
}

TEST_CASE("a model of pytorch_model.bin is that of the same safetensors, bit for bit") {
  for (const char* name : {"llama", "gpt2"}) {
    std::string base = std::string("tests/models/golden/") + name;
    GoldenCase rows = read_golden_case(base);
    StoredTensors source = open_model_folder(base + "/model");
    for (DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      CAPTURE(name);
      CAPTURE(name_of(dtype));
      std::vector<TensorToWrite> tensors;
      std::vector<std::vector<std::byte>> values;
      for (const StoredTensor& t : source.tensors) {
        std::size_t count = t.byte_count / size_of(t.dtype()), size = size_of(dtype);
        std::vector<std::byte>& bytes = values.emplace_back(count * size);
        for (std::size_t i = 0; i < count; ++i) {
          auto value = static_cast<float>(stored_value(t.bytes, t.dtype(), i));
          bf16 brain(value);
          f16 half = to_f16(value);
          const void* from = dtype == DType::f32    ? static_cast<const void*>(&value)
                             : dtype == DType::bf16 ? static_cast<const void*>(&brain)
                                                    : static_cast<const void*>(&half);
          std::memcpy(bytes.data() + i * size, from, size);
        }
        tensors.push_back({t.name, dtype, t.shape, bytes.data()});
      }
      TempFolder folder;
      put(folder / "config.json", get(base + "/model/config.json"));
      auto logits = [&] {
        auto model = load_model(folder.path(), test_device(1), {.precision = Precision::f32});
        CHECK(model->stored_dtype() == dtype);
        return logits_of(*model, rows);
      };
      write_safetensors(folder / "model.safetensors", tensors);
      std::vector<float> expected = logits();
      std::filesystem::remove(folder / "model.safetensors");
      for (std::size_t shift : {0, 1, 7}) {
        put(folder / "pytorch_model.bin", torch_file_of(tensors, {.shift = shift}));
        CHECK(logits() == expected);
      }
      put(folder / "pytorch_model.bin", torch_file_of(tensors, {}, true));
      CHECK(logits() == expected);
    }
  }
}
