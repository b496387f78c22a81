#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace loragrad {

/// A tensor as torch.save describes it, before anything of its values is known: element (i, j, ...) is element
/// offset + i strides[0] + j strides[1] + ... of a storage.
struct PickledTensor {
  std::string name;                   ///< its key in the state dict
  std::string storage;                ///< a file of the archive, "data/STORAGE"; tensors of one storage share memory
  std::string dtype_name;             ///< of the storage, by safetensors' names: "F32", "BF16", ...
  std::int64_t storage_elements = 0;  ///< at least 0, as all numbers here
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape, strides;  ///< as many strides as dimensions
};

/// The tensors of a pickled state dict, in its order. A pickle is a program; this one may make tensors and nothing else:
/// - protocol 2, and of its instructions those of PickleOpcode, each of which makes or fills a plain value;
/// - GLOBAL names collections.OrderedDict, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, or torch's
///   Float, Half, BFloat16, Double, Long, Int, Short, Char, Byte or BoolStorage, which are words here, not code;
/// - REDUCE calls the first three, BUILD gives an OrderedDict attributes (`_metadata`), which are no tensors;
/// - what results is a dict of names and tensors.
/// InputError "WHERE: byte N: expected X, found Y" for all else, every opcode and global by its name. At most 2^24 bytes
/// are taken, and memory in proportion; nothing is recursive, however deep values nest.
std::vector<PickledTensor> read_tensor_pickle(std::string_view pickle, const std::string& where);

}  // namespace loragrad
