#pragma once

namespace loragrad {

/// Thrown where work ends because a signal asked for it; the exit code is 128 + signal.
struct Interrupted {
  int signal;
};

/// From now on SIGINT and SIGTERM are noted instead of ending the program; a second one ends it at once.
void catch_interrupts();
/// The signal that came, or 0.
int interrupted_by();
/// Throws Interrupted when one came.
void stop_if_interrupted();

}  // namespace loragrad
