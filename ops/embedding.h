#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "engine/parameter.h"

namespace loragrad {

/// y[t] = scale table[ids[t]].  ids [tokens, 1] i32, table [vocab, d] -> [tokens, d] of type `dtype`. Learned positions are
/// the same op with position ids. Ids are checked on the host before a batch is made (models/batch.h).
/// Of a trained table: dtable[ids[t]] += scale dy[t], in the order of t.
Tensor embedding(const Tensor& ids, const Parameter& table, DType dtype, double scale = 1);

}  // namespace loragrad
