#pragma once
// Threads: one at a time for each device (engine/device.h).
#include "engine/weight.h"

namespace loragrad {

/// Rows in the place of a table's: token tokens[i] of an input has row slots[i] of values.
struct RowsInPlace {
  Tensor values;         ///< [n, d], f32 or f64
  Tensor tokens, slots;  ///< [count, 1] i32; no token comes twice
};

/// y[t] = scale table[ids[t]], but y[tokens[i]] = scale values[slots[i]].   ids [tokens, 1] i32, table [vocab, d] frozen
/// -> [tokens, d] of type `dtype`. dvalues[slots[i]] += scale dy[tokens[i]], in the order of i.
Tensor embedding_with_rows(const Tensor& ids, const Weight& table, const RowsInPlace& rows, DType dtype,
                           double scale = 1);

}  // namespace loragrad
