// The head: logits, and the loss that is made of them without all of them.
#include "engine/error.h"
#include "models/model.h"
#include "ops/gemm.h"
#include "ops/soft_cap.h"

namespace loragrad {

CrossEntropy CausalLm::loss(const Pass& pass, double denominator) const {
  return loss(hidden(pass), pass, denominator);
}

CrossEntropy CausalLm::loss(const Tensor& hidden, const Pass& pass, double denominator) const {
  auto mode = unrecorded(pass);
  double cap = config_.final_logit_softcapping;
  if (head_rows_) return cross_entropy_with_rows(hidden, *head_rows_, pass.batch.targets, denominator, cap);
  return cross_entropy(hidden, *head_, pass.batch.targets, denominator, cap);
}

Tensor CausalLm::logits(const Tensor& hidden, bool rows_alone) const {
  DType dtype = accumulation_type(hidden.dtype());
  WeightView head = head_rows_ ? head_rows_->view() : head_->view();
  Tensor z = Tensor::empty(device_, {hidden.rows(), head.rows}, dtype);
  gemm(*device_,
       {.c = z.mutable_matrix(), .a = hidden.matrix(), .b = head, .transpose_b = true, .rows_alone = rows_alone});
  if (config_.final_logit_softcapping > 0) soft_cap(z, config_.final_logit_softcapping);
  return z;
}

void CausalLm::replace(const TrainedRows& rows) {
  bool of_embedding = rows.module == embedding_->name();
  if (!of_embedding && rows.module != head_module)
    throw UsageError("replace: expected rows of " + embedding_->name() + " or " + head_module + ", found " +
                     rows.module);
  if (of_embedding) embedding_->replace(rows);
  if (of_embedding && !is_tied()) return;
  if (head_->needs_grad()) throw UsageError("replace: expected a frozen head beside trained tokens, found another");
  head_rows_ = std::make_shared<HeadWithRows>(head_->weight(), rows.ids, rows.values);
}

}  // namespace loragrad
