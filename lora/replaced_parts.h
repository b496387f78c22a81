#pragma once
#include <vector>

#include "lora/adapter.h"

namespace loragrad {

/// Gives an adapter that was combined of several what one of them has in the place of the base's own: parameters trained
/// whole and rows of trained tokens, with the fields of the configuration that say so. Anything but those values would
/// take the base's. InputError "combine: NAME: ..." where several adapters have some, for a weight other than 1, and for
/// a module of `combined` that is replaced.
void take_replaced_parts(const std::vector<WeightedAdapter>& adapters, Adapter& combined);

}  // namespace loragrad
