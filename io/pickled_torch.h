#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <string>
#include <string_view>
#include <vector>

#include "io/pickled_values.h"
#include "io/tensor_pickle.h"

namespace loragrad {

/// What torch.save's pickles name and call (torch/_utils.py). These are words: nothing of Python is behind them. Each
/// function returns the value that it adds, and is an InputError for what it does not know.

/// collections.OrderedDict, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, and torch's Float, Half,
/// BFloat16, Double, Long, Int, Short, Char, Byte and BoolStorage.
PickledId pickled_global(PickledValues& values, std::string_view module, std::string_view name);
/// A call of one of the first three.
PickledId pickled_call(PickledValues& values, PickledId callable, const std::vector<PickledId>& arguments);
/// The storage of a persistent id: ("storage", TYPE, KEY, device that it was on, elements).
PickledId pickled_storage(PickledValues& values, PickledId persistent_id);
/// What a tensor has been described as.
PickledTensor pickled_tensor(const PickledValues& values, std::string_view name, PickledId tensor);

}  // namespace loragrad
