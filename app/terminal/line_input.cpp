#include "app/terminal/line_input.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "app/terminal/interrupt.h"
#include "engine/error.h"

namespace loragrad {

bool LineInput::is_typed() { return isatty(STDIN_FILENO); }

LineInput::Read LineInput::wait() {
  while (waiting_.find('\n') == std::string::npos) {
    if (at_end_) return waiting_.empty() ? Read::end : Read::line;
    // Reading alone would go on after a signal, and nobody would hear of it. One may also come just before the wait, or in
    // another thread, and then ends no wait: so none is long.
    pollfd input{STDIN_FILENO, POLLIN, 0};
    int ready = ::poll(&input, 1, 100);
    if (int signal = interrupted_by()) {
      if (signal != SIGINT) return Read::end;
      forget_interrupt();
      waiting_.clear();
      return Read::interrupted;
    }
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    char buffer[4096];
    ssize_t size = ready < 0 ? -1 : ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (size < 0) throw IoError(std::string("stdin: cannot read: ") + std::strerror(errno));
    if (size == 0) at_end_ = true;
    waiting_.append(buffer, static_cast<std::size_t>(size));
  }
  return Read::line;
}

std::string LineInput::take_line() {
  std::size_t end = waiting_.find('\n');
  std::string line = waiting_.substr(0, end);
  waiting_.erase(0, end == std::string::npos ? end : end + 1);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace loragrad
