#include "models/files/base_hash.h"

#include "models/families/family.h"
#include "ops/meta_device.h"
#include "tests/device/test_device.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("a tensor's name may lack the family's prefix, or have it where it should not") {
  StoredTensors file;
  for (const char* name : {"a.x", "model.b.x", "model.lm_head.weight", "weight"}) {
    file.tensors.push_back({});
    file.tensors.back().name = name;
  }
  CHECK(find_stored(file, "model.a.x", "model.") == &file.tensors[0]);
  CHECK(find_stored(file, "model.b.x", "model.") == &file.tensors[1]);
  CHECK(find_stored(file, "other.a.x", "model.") == nullptr);
  CHECK(find_stored(file, "lm_head.weight", "model.") == &file.tensors[2]);
  CHECK(find_stored(file, "lm_head.weight", "transformer.") == nullptr);
  CHECK(find_stored(file, "base.model.b.x", "base.model.") == nullptr);
  CHECK(find_stored(file, "two.parts.a.x", "two.parts.") == &file.tensors[0]);
  file.tensors[1].name = "embed_out.weight";
  CHECK(find_stored(file, "lm_head.weight", "gpt_neox.") == &file.tensors[1]);
  CHECK(find_stored(file, "other.weight", "gpt_neox.") == nullptr);
}

TEST_CASE("families' first parameter is the table of tokens, which a tied head shares") {
  for (std::string family : {"opt", "gpt2", "gpt_neox", "llama"}) {
    INFO(family);
    std::string folder = "tests/models/golden/" + family;
    if (!std::filesystem::exists(folder + "/config.json")) folder += "/model";
    std::unique_ptr<CausalLm> model = load_model(folder, meta_device(test_device(1)));
    BaseTensors tensors(*model, folder);
    const StoredTensor* table = tensors.find_tied(model->parameters().front().first);
    REQUIRE(table != nullptr);
    CHECK(table->shape[0] == model->config().vocab_size);
    CHECK(tensors.find_tied("nothing") == nullptr);
    if (model->config().tie_word_embeddings && !tensors.find("lm_head.weight"))
      CHECK(tensors.find_tied("lm_head.weight") == table);
    // The same whether weights are read or not.
    CHECK(base_hash(*model, tensors) == base_hash(*load_model(folder, test_device(1)), tensors));
  }
}
