#include "models/generate/head_row.h"

#include <doctest/doctest.h>

#include <limits>

#include "engine/error.h"
#include "ops/meta_device.h"
#include "tests/device/test_device.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

constexpr std::size_t width = 8;

/// A model with 2000 tokens, whose rows of the head can be written.
struct Model {
  explicit Model(const std::string& tied = "true") {
    put(folder / "config.json", R"({"model_type": "llama", "vocab_size": 2000, "hidden_size": 8, "intermediate_size": 8,
      "num_hidden_layers": 1, "num_attention_heads": 1, "tie_word_embeddings": )" +
                                    tied + "}");
    model = new_model(folder / "config.json", test_device(1), 1);
    for (const auto& [name, tensor] : model->trainable())
      if (name == (tied == "true" ? "model.embed_tokens.weight" : "lm_head.weight")) head = tensor;
  }
  Tensor row(std::int64_t id) { return head.detach().rows(id, 1); }
  void same(std::initializer_list<std::int64_t> ids) {
    for (std::int64_t id : ids) row(id).set_values(row(1000).values<float>());
  }
  TempFolder folder;
  std::unique_ptr<CausalLm> model;
  Tensor head;
};

}  // namespace

TEST_CASE("rows of the head equal to a token's are found around it and at the vocabulary's end") {
  Model m;
  CHECK(head_row(*m.model, 1000).equal == 0);
  CHECK_FALSE(head_row(*m.model, 1000).zero);
  m.same({744, 1256, 1744, 1999});
  CHECK(head_row(*m.model, 1000).equal == 4);
  CHECK(head_row(*m.model, 1000).parameter == "model.embed_tokens.weight");
  m.same({743, 1257, 1743});  // not looked at
  CHECK(head_row(*m.model, 1000).equal == 4);
  CHECK(head_row(*m.model, 1999).equal == 2);  // 1743 and 1744
  CHECK(head_row(*m.model, 0).equal == 0);
  m.same({0, 1, 256});
  CHECK(head_row(*m.model, 0).equal == 4);  // with 1744 and 1999
  change_values<float>(m.row(256), [](auto& values) { values[width - 1] += 1; });
  CHECK(head_row(*m.model, 0).equal == 3);
}

TEST_CASE("a row of zeros, of NaN, and of a head of its own") {
  Model m("false");
  m.row(5).fill(0);
  CHECK(head_row(*m.model, 5).zero);
  CHECK(head_row(*m.model, 5).equal == 0);
  CHECK(head_row(*m.model, 5).parameter == "lm_head.weight");
  for (std::int64_t id : {6, 7}) m.row(id).fill(std::numeric_limits<double>::quiet_NaN());
  CHECK(head_row(*m.model, 6).equal == 0);
  CHECK_FALSE(head_row(*m.model, 6).zero);
  CHECK_THROWS_AS(head_row(*m.model, 2000), UsageError);
  CHECK_THROWS_AS(head_row(*m.model, -1), UsageError);
  std::unique_ptr<CausalLm> outline = new_model(m.folder / "config.json", meta_device(test_device(1)), 1);
  CHECK_THROWS_AS(head_row(*outline, 1), UsageError);
}
