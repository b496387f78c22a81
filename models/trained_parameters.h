#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <vector>

#include "models/model.h"

namespace loragrad {

/// The parameters of `model` that a configuration trains whole beside adapters of `modules`: those of every module
/// whose name ends like one of modules_to_save, and the biases that `bias` means. Copies to train, with the base's
/// values, in f32 or f64. InputError where a name of modules_to_save is no module's end.
std::vector<TrainedParameter> parameters_to_train(const CausalLm& model, const LoraConfig& config,
                                                  const std::vector<LoraModule>& modules, DType dtype = DType::f32);

/// Puts those of an adapter, and its rows (models/trained_rows.h), in the place of the model's own, with which every
/// pass then computes. A head that was tied
/// to an embedding is no longer, as in PEFT. InputError for parameters that the model does not have, or has in another
/// shape, and for biases that `bias` means and that the adapter lacks.
void put_parameters(CausalLm& model, const Adapter& adapter);
/// The same of the one that has any. UsageError where two have some, or where it is not for all rows and with a weight
/// of 1: a model has its parameters once.
void put_parameters(CausalLm& model, const std::vector<WeightedAdapter>& adapters);

}  // namespace loragrad
