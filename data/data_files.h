#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <string>

namespace loragrad {

/// Which file a PATH means: itself, or for a folder train.jsonl / valid.jsonl / test.jsonl (`split` is "train", "valid"
/// or "test"). IoError for a missing one, which says what there is instead and what to do with it.
std::string dataset_file(const std::string& path, const std::string& split);

/// InputError unless the name ends in .jsonl or .txt; for a kind of file that people have (.json, .csv, .parquet, ...)
/// with the command that makes a .jsonl of it.
void require_data_file(const std::string& path);

}  // namespace loragrad
