#pragma once

namespace loragrad {

/// What this program changes of its process, before anything else runs; the library changes nothing.
/// - Standard descriptors that are closed are opened on /dev/null, so that no file gets one of their numbers.
/// - SIGPIPE and SIGXFSZ are ignored: a reader that leaves and a limit of file sizes are errors of the write.
/// - Under a limit of memory (engine/memory_limit.h) the C library keeps one heap, and the stack's first part is there.
/// - SIGBUS where a mapped file was cut short is an error line that names the file, and exit code 4.
void prepare_process();

}  // namespace loragrad
