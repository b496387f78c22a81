#pragma once
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "io/json.h"
#include "io/message.h"
#include "train/progress.h"

namespace loragrad {

/// To stdout. IoError when it does not take it.
void print(const std::string& text);
/// A result on a line of its own; numbers that are not finite are null.
void print_json(const Json& json);
/// Rows of "label  value", labels padded to one width.
void print_table(const std::vector<std::pair<std::string, std::string>>& rows);
/// Rows of cells, the header first. Columns are as wide as their widest cell; numbers, which is all but the first,
/// stand to the right.
using Table = std::vector<std::vector<std::string>>;
std::string table_text(const Table& table);
/// Whether stdout is a terminal that takes colours and whose user has not declined them (NO_COLOR).
bool output_has_colour();
/// Columns of the terminal that stdout is; 80 where it is none.
int output_width();
/// IoError when stdout has not taken everything (a full disk).
void flush_output();

/// A line to stdout that a run can do without: where it cannot be written, a warning says so once, and the run goes on.
void say(const std::string& line);
/// A line to stderr, above a progress bar that stands there: what a person reads and no program parses. What cannot be
/// written is lost, as there is no place to say so.
void note(const std::string& line);
void warn(const std::string& message);
/// A line behind a bar, full by `share` of 1, that replaces itself where stderr is a terminal, else the line alone.
void show_progress(double share, const std::string& line);
/// Ends a bar's line, if one stands. May be called in a signal handler.
void end_progress_line();

}  // namespace loragrad
