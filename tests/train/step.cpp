#include "train/step.h"

#include "tests/train/support.h"

using namespace loragrad;

TEST_CASE("micro-batches: rows in order, as many as both limits allow") {
  std::vector<Row> rows(6);
  StepRows step;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].input_ids.resize(std::vector<std::size_t>{3, 4, 9, 1, 1, 5}[i]);
    step.push_back(&rows[i]);
  }
  using Ends = std::vector<std::size_t>;
  CHECK(micro_batches(step, 2, 0) == Ends{2, 4, 6});
  CHECK(micro_batches(step, 4, 0) == Ends{4, 6});
  CHECK(micro_batches(step, 6, 7) == Ends{2, 3, 6});  // the third is longer, and goes alone
  CHECK(micro_batches(step, 6, 6) == Ends{1, 2, 3, 5, 6});
  CHECK(micro_batches(step, 2, 7) == Ends{2, 3, 5, 6});
  CHECK(micro_batches(step, 6, 23) == Ends{6});
  CHECK(micro_batches({}, 6, 7).empty());
}
