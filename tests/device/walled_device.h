#pragma once
#include "engine/device.h"

namespace loragrad::test {

/// A processor whose memory stands behind a wall, as a GPU's does: the host may not read or write it but through
/// uploads, downloads and kernels. It has an arena of its own, which is opened (mprotect) while one of these runs and
/// closed again. Weights are copied in. Uploads read the host's bytes as late as a stream may: when the next kernel or
/// download runs. Kernels may be given addresses of its own memory only, but for what engine/kernels.h leaves in the
/// host's.
///
/// Who touches the memory from outside dies of SIGSEGV, and stderr says where; a system call that does fails with
/// EFAULT. Errors of the library are caught so; the bits are those of the processor.
DevicePtr walled_device(int threads = 0);

}  // namespace loragrad::test
