#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <stdexcept>
#include <string>

namespace loragrad {

/// What went wrong, as the command line reports it: the value is the process's exit code.
enum class ErrorKind : int {
  usage = 2,    // a flag, a configuration key, or a call with shapes that do not fit
  input = 3,    // a file whose content is wrong
  io = 4,       // a file that cannot be read or written, or memory that is not there
  numeric = 5,  // NaN or Inf where a number is needed
};

/// Every error the library throws. One line: what, where, expected, found. The library never prints and never exits.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

struct UsageError : Error {
  explicit UsageError(const std::string& message) : Error(ErrorKind::usage, message) {}
};
struct InputError : Error {
  explicit InputError(const std::string& message) : Error(ErrorKind::input, message) {}
};
struct IoError : Error {
  explicit IoError(const std::string& message) : Error(ErrorKind::io, message) {}
};
/// A device has less memory than is asked for.
struct OutOfMemory : IoError {
  using IoError::IoError;
};
struct NumericError : Error {
  explicit NumericError(const std::string& message) : Error(ErrorKind::numeric, message) {}
};
/// Operands whose shapes, dtypes or devices do not fit together; names the op and both shapes.
struct ShapeError : UsageError {
  using UsageError::UsageError;
};

}  // namespace loragrad
