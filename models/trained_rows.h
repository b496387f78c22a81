#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <vector>

#include "models/model.h"

namespace loragrad {

/// The rows that config.trainable_token_indices trains beside adapters of `modules`, with the base's values, in f32 or
/// f64. InputError where an entry is for another module than the embedding and the head, for a token outside the
/// vocabulary, for a tied head with other tokens than the embedding's, or for a module that is adapted or trained whole.
std::vector<TrainedRows> rows_to_train(const CausalLm& model, const LoraConfig& config,
                                       const std::vector<LoraModule>& modules, DType dtype = DType::f32);

/// Puts an adapter's rows in the place of the model's own, with which every pass then computes. Errors as above, and an
/// InputError where the rows do not fit.
void put_rows(CausalLm& model, const Adapter& adapter);

}  // namespace loragrad
