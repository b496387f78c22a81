#pragma once
#include <memory>
#include <string>
#include <vector>

#include "models/generate/batch_decoder.h"
#include "tests/device/bf16_device.h"
#include "tests/device/test_device.h"
#include "tests/models/full_adapter.h"
#include "tests/models/golden_case.h"

/// What tests of decoding share.
namespace loragrad::test {

using Ids = std::vector<std::int32_t>;

inline Ids ids_of(std::size_t row, std::int64_t count, std::int64_t vocab) {
  Random random(3, row);
  Ids ids;
  for (std::int64_t i = 0; i < count; ++i)
    ids.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab))));
  return ids;
}

/// A golden model with two adapters, "a" and "b".
struct Loaded {
  Loaded(const std::string& folder, Precision precision)
      : model(load_model(folder + "/model", bf16_device(test_device(2)), {.precision = precision})),
        adapters(model->activate({{full_adapter(*model, 0, 1), 1, "a"}, {full_adapter(*model, 0, 2), -0.5, "b"}})) {}
  /// Bits do not depend on a row's company.
  bool exact() const { return model->device()->name() != "cuda"; }
  std::unique_ptr<CausalLm> model;
  ActiveAdapters adapters;
};

/// Logits of the last token of rows that go through the model together.
inline std::vector<std::vector<float>> logits_of(const Loaded& loaded, KeyValueCache& cache,
                                                 const std::vector<BatchRow>& rows,
                                                 const std::vector<std::string>& adapters, bool decoding) {
  const CausalLm& model = *loaded.model;
  Batch batch = make_batch(model.device(), rows, model.config().vocab_size, 0, &cache);
  Pass pass{.batch = batch,
            .adapters = loaded.adapters.for_rows(adapters),
            .record = false,
            .rows_alone = decoding,
            .cache = &cache};
  Tensor hidden = model.hidden(pass);
  auto count = static_cast<std::int64_t>(rows.size());
  Tensor logits = model.logits(hidden.rows(hidden.rows() - count, count), pass, true);
  std::vector<std::vector<float>> all;
  for (std::int64_t i = 0; i < count; ++i) all.push_back(logits.rows(i, 1).values<float>());
  return all;
}

inline const std::string llama = "tests/models/golden/llama";

/// All models; on a GPU, which promises rounding alone and is slow in emulation, two.
inline std::vector<std::string> folders() {
  if (test_device(1)->name() != "cuda") return golden_folders();
  return {"tests/models/golden/gpt2", llama};
}

}  // namespace loragrad::test
