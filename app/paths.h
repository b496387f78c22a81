#pragma once
#include <string>
#include <vector>

#include "train/output.h"

namespace loragrad {

/// A file or folder that a command reads, by the flag that names it ("model").
struct InputPath {
  std::string flag, path;
};

/// What a command writes.
struct OutputPath {
  enum class Kind { folder, file } kind;  ///< a folder is replaced whole
  std::string flag, path;
};

/// UsageError where writing the outputs would change what is read (or the other output). Links, hard links and mounts
/// are resolved: a file is the same by whatever name.
/// - No output is an input, or a file that an input folder is read by, or an output too.
/// - No input and no other output lies in an output folder, and no input is what a dead run left beside it.
/// - Nothing new comes into an input folder under a name that such folders are read by (tokenizer.json, valid.jsonl).
/// - An output file is not the file that standard output, or another standard descriptor, goes to.
/// - An output folder is neither the current folder nor one above it.
void require_apart(const std::vector<OutputPath>& outputs, const std::vector<InputPath>& inputs);

/// A path to a folder whose last part is its name: "out/." is "out", and "." the current folder's path.
std::string folder_path(const std::string& path);

/// Whether both mean one file, or would, once it is there.
bool same_path(const std::string& a, const std::string& b);

/// Puts the output in place, and where it could not go to --output any more, warns and says so in `output`.
void commit_output(OutputFolder& folder, std::string& output);

}  // namespace loragrad
