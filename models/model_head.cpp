// The head: logits, and the loss that is made of them without all of them.
#include <algorithm>

#include "engine/error.h"
#include "lora/lora_head.h"
#include "models/active_terms.h"
#include "models/model.h"
#include "ops/soft_cap.h"

namespace loragrad {

CrossEntropy CausalLm::loss(const Pass& pass, double denominator) const {
  return loss(hidden(pass), pass, denominator);
}

CrossEntropy CausalLm::loss(const Tensor& hidden, const Pass& pass, double denominator) const {
  auto mode = unrecorded(pass);
  const Targets& targets = pass.batch.targets;
  double cap = config_.final_logit_softcapping;
  LoraMap map = head_map(pass, hidden.rows());
  if (!map.terms.empty()) return lora_cross_entropy(hidden, map, targets, denominator, cap);
  if (head_rows_) return cross_entropy_with_rows(hidden, *head_rows_, targets, denominator, cap);
  return cross_entropy(hidden, *head_, targets, denominator, cap);
}

Tensor CausalLm::logits(const Tensor& hidden, const Pass& pass, bool rows_alone) const {
  Unrecorded mode;
  DType dtype = accumulation_type(hidden.dtype());
  LoraMap map = head_map(pass, hidden.rows());
  map.rows_alone = rows_alone;
  if (head_rows_) map.w = head_rows_->weight();
  Tensor z = Tensor::empty(device_, {hidden.rows(), map.w.shape().rows}, dtype);
  lora_logits(hidden, map, z.mutable_matrix());
  if (config_.final_logit_softcapping > 0) soft_cap(z, config_.final_logit_softcapping);
  return z;
}

LoraMap CausalLm::head_map(const Pass& pass, std::int64_t tokens) const {
  LoraMap map{*head_, {}, {}};
  add_active_terms(map, head_module, pass);
  if (map.terms.empty()) return map;
  if (head_rows_ || head_->needs_grad())
    throw UsageError(std::string(head_module) + ": expected a frozen head beside adapters of it, found a trained one");
  std::int64_t left_out = pass.batch.tokens - tokens;
  for (LoraTerm& term : map.terms)
    for (std::int64_t* end : {&term.tokens.begin, &term.tokens.end}) *end = std::max<std::int64_t>(0, *end - left_out);
  return map;
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
