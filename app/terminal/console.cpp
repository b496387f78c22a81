#include "app/terminal/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "data/unicode.h"
#include "engine/error.h"
#include "io/json_text.h"
#include "io/write_all.h"

namespace loragrad {
namespace {

// The one thing this program shows that outlives a call: whether the cursor stands behind a bar.
std::atomic<bool> bar_stands = false;

[[noreturn]] void output_failed() {
  throw IoError(std::string("standard output: cannot write: ") + std::strerror(errno));
}

int terminal_width(int file) {
  winsize size{};
  return ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

}  // namespace

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) output_failed();
}

void print_json(const Json& json) { print(result_text(json) + "\n"); }

void print_table(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::size_t width = 0;
  for (const auto& [label, value] : rows) width = std::max(width, label.size());
  for (const auto& [label, value] : rows) print(fmt::format("{:{}}  {}\n", label, width, value));
}

std::string table_text(const Table& table) {
  std::vector<int> widths(table.at(0).size());
  for (const auto& row : table)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  std::string text;
  for (const auto& row : table) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      std::string space(static_cast<std::size_t>(widths[i] - display_width(row[i])), ' ');
      line += i == 0 ? row[i] + space : "  " + space + row[i];
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

bool output_has_colour() {
  const char *declined = std::getenv("NO_COLOR"), *terminal = std::getenv("TERM");
  return isatty(STDOUT_FILENO) && !(declined && *declined) && !(terminal && std::string(terminal) == "dumb");
}

int output_width() { return terminal_width(STDOUT_FILENO); }

void flush_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) output_failed();
}

void say(const std::string& line) {
  static bool lost = false;
  // Past stdio, which would keep what it could not write and try again.
  int error = write_all(STDOUT_FILENO, line + "\n");
  if (error == 0 || lost) return;
  lost = true;
  warn(std::string("standard output: cannot write: ") + std::strerror(error) + "; the run goes on");
}

void note(const std::string& line) {
  end_progress_line();
  write_all(STDERR_FILENO, line + "\n");
}

void warn(const std::string& message) { note("warning: " + line_text(message)); }

void show_progress(double share, const std::string& line) {
  if (!isatty(STDERR_FILENO)) return note(line);
  write_all(STDERR_FILENO, "\r" + bar_text(share, line, terminal_width(STDERR_FILENO) - 1) + "\033[K");
  bar_stands = true;
}

void end_progress_line() {
  if (bar_stands.exchange(false)) write_all(STDERR_FILENO, "\n");
}

}  // namespace loragrad
