#pragma once
#include <string>
#include <vector>

namespace loragrad {

/// The words after the subcommand.
using Words = std::vector<std::string>;

// Each runs one subcommand and returns the process's exit code; errors are thrown (engine/error.h).
int run_train(const Words& words);
int run_check(const Words& words);
int run_eval(const Words& words);
int run_tokenize(const Words& words);
int run_generate(const Words& words);
int run_chat(const Words& words);
int run_merge(const Words& words);
int run_combine(const Words& words);
int run_extract(const Words& words);
int run_convert(const Words& words);
int run_inspect(const Words& words);
int run_pretrain(const Words& words);
int run_demo(const Words& words);

}  // namespace loragrad
