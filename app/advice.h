#pragma once
#include <string>
#include <vector>

#include "app/plan.h"

namespace loragrad {

/// What people trip over, where it is so in the run that `flags` and `plan` describe: a sentence each, with what to do.
/// Of the data: rows of which none has an end token with a loss, or which end with one that has none, an end token that
/// is the padding too, two beginnings of a text, rows that were cut, rows that teach nothing. Of the training: a
/// learning rate ten times off, few kinds of linear maps adapted. No weight of `model` is read.
std::vector<std::string> advice(const TrainFlags& flags, const TrainingPlan& plan, const CausalLm& model);

/// The sentences as lines of a list, words wrapped to `width` columns; "" without any.
std::string advice_text(const std::vector<std::string>& advice, int width);

}  // namespace loragrad
