#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <string>

#include "io/stored_tensors.h"

namespace loragrad {

/// The tensors of a state dict that torch.save wrote in PyTorch's format since 1.6 (pytorch_model.bin): an archive
/// (io/zip.h) of ROOT/data.pkl, which describes tensors (io/tensor_pickle.h), and ROOT/data/KEY, the bytes of their
/// storages, which are mapped. A tensor whose elements lie there in its own order is those bytes, aligned or not; the
/// elements of another (a transposed one, a column) are copied into order. Tensors that share a storage share its bytes.
/// InputError "FILE: TENSOR: expected X, found Y" for a storage that is missing, is shorter or longer than its elements
/// or has two types; for elements outside of it, more of them than it has, more than 8 dimensions, or sizes that reach
/// 2^63; for a file of the format before 1.6, of TorchScript or of big-endian numbers (docs/formats.md lists all).
StoredTensors open_torch_file(const std::string& path);

}  // namespace loragrad
