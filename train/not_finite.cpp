#include "train/not_finite.h"

#include <utility>

#include "ops/l2_norm.h"

namespace loragrad {

std::string where_not_finite(const CausalLm& model, const StepRows& rows, const PassOptions& options) {
  std::string place, last;
  auto watch = [&](const std::string& name, const Tensor& x, const Tensor& y) {
    if (!place.empty()) return;
    if (!is_finite(x))
      place = "the first value that is not comes " + (last.empty() ? "" : "after " + last + " and ") + "before " + name;
    else if (!is_finite(y))
      place = "the first module whose output is not: " + name;
    last = name;
  };
  std::size_t begin = 0;
  for (std::size_t end : micro_batches(rows, options.rows_at_once, options.tokens_at_once)) {
    if (!place.empty()) break;
    Batch batch = batch_of(model, rows, std::exchange(begin, end), end);
    if (batch.supervised == 0) continue;
    Pass pass = training_pass(batch, options);
    pass.record = pass.recompute = false;
    pass.watch = watch;
    Tensor hidden = model.hidden(pass);
    if (place.empty() && !is_finite(hidden)) place = "the first value that is not comes after " + last;
  }
  return place.empty() ? "the first module whose output is not: the model's head, or its adapter" : place;
}

}  // namespace loragrad
