#pragma once

namespace loragrad {

/// Thrown where work ends because a signal asked for it; the exit code is 128 + signal.
struct Interrupted {
  int signal;
};

/// From now on SIGINT, SIGTERM and SIGHUP are noted instead of ending the program; a second SIGINT or SIGTERM ends it
/// at once. SIGHUP that is ignored stays so.
void catch_interrupts();
/// The signal that came first, or 0.
int interrupted_by();
/// SIGINT, where it came, has been obeyed, and the next one is the first again.
void forget_interrupt();
/// Throws Interrupted when one came.
void stop_if_interrupted();

}  // namespace loragrad
