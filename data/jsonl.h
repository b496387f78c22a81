#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "io/json.h"

namespace loragrad {

/// A data file's text, without a byte order mark. InputError for what is no text, or no JSON where the name ends in
/// .jsonl (io/file_content.h), and with FILE:LINE for bytes that are no UTF-8.
std::string read_data_text(const std::string& path);

/// Calls `take` with the value of each line and the line itself; lines of white space are skipped. `path` is for
/// messages. InputError as FILE:LINE for a line that is no JSON; a file that is JSON of another shape (one list,
/// objects over several lines or several in one, Python's dicts) is told for what it is, with the command that mends
/// it.
void for_each_line(std::string_view text, const std::string& path,
                   const std::function<void(const JsonRef& row, std::string_view line)>& take);

/// What to do with text that is JSON but no line of rows: "" where nothing is known. `name` is the file's, for
/// commands.
std::string json_lines_remedy(std::string_view text, const std::string& name);

}  // namespace loragrad
