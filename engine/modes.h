#pragma once
// Threads: each has its own modes.

namespace loragrad {

/// How ops run on a thread.
struct Modes {
  bool unrecorded = false;   ///< results have no past, whatever they are computed from
  bool late_values = false;  ///< Tensor::formed leaves values to whoever reads them first

  static Modes& of_this_thread();
};

/// A mode is on while it lives.
template <bool Modes::*mode>
class ModeScope {
 public:
  ModeScope() : before_(Modes::of_this_thread().*mode) { Modes::of_this_thread().*mode = true; }
  ModeScope(const ModeScope&) = delete;
  ModeScope& operator=(const ModeScope&) = delete;
  ~ModeScope() { Modes::of_this_thread().*mode = before_; }

 private:
  bool before_;
};
/// For evaluation: nothing is kept for a backward that does not come.
using Unrecorded = ModeScope<&Modes::unrecorded>;
using LateValues = ModeScope<&Modes::late_values>;

}  // namespace loragrad
