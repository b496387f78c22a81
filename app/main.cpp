#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <new>

#include "app/commands.h"
#include "app/flags/flags.h"
#include "app/process.h"
#include "app/terminal/console.h"
#include "app/terminal/interrupt.h"
#include "engine/error.h"
#include "engine/memory_limit.h"
#include "io/json.h"
#include "io/mapped_file.h"
#include "io/message.h"
#include "ops/cpu/cpu_device.h"

namespace loragrad {
namespace {

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Words&);
};

// A new subcommand is one line here and one in app/commands.h.
constexpr Command commands[] = {
    {"train", "train a LoRA adapter (or, with --full, all parameters)", run_train},
    {"check", "what train would do: a row with its loss mask, counts, peak memory", run_check},
    {"eval", "loss and perplexity over a data set", run_eval},
    {"generate", "continue a text", run_generate},
    {"chat", "talk with a model in the terminal, and change adapters on the way", run_chat},
    {"tokenize", "JSON strings to token ids, line by line", run_tokenize},
    {"merge", "write a checkpoint with adapters merged into it", run_merge},
    {"combine", "make one adapter of several", run_combine},
    {"extract", "the adapter nearest to the difference of two checkpoints", run_extract},
    {"convert", "write an adapter of PEFT, mlx-lm or llama.cpp as another of them", run_convert},
    {"inspect", "say what a model, adapter, data or safetensors file is", run_inspect},
    {"pretrain", "train all parameters from scratch", run_pretrain},
    {"demo", "measure here what is claimed for LoRA (no argument, no download)", run_demo},
};

std::string usage() {
  std::string text = "loragrad SUBCOMMAND [flags]\nLoRA fine-tuning of language models.\n\n";
  for (const Command& command : commands)
    text += std::string("  ") + command.name + std::string(10 - std::string(command.name).size(), ' ') +
            command.summary + "\n";
  return text + "\nloragrad SUBCOMMAND --help lists its flags, loragrad --version what runs.\n";
}

int dispatch(const Words& words) {
  if (words.empty()) throw UsageError("expected a subcommand, found none (see loragrad --help)");
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print(usage());
    return 0;
  }
  if (words[0] == "--version") {
    print("loragrad " LORAGRAD_VERSION "\nkernels: " + std::string(kernel_set()) +
          "\nmatrix products: " + std::string(gemm_library()) + "\n");
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (words[0] == command.name) return command.run({words.begin() + 1, words.end()});
    names.emplace_back(command.name);
  }
  std::string near = nearest(words[0], names);
  throw UsageError("unknown subcommand " + escaped(words[0]) +
                   (near.empty() ? " (see loragrad --help)" : ": did you mean " + near + "?"));
}

int fail(int code, const std::string& message) {
  end_progress_line();
  std::fprintf(stderr, "error: %s\n", line_text(message).c_str());
  return code;
}

int run(const Words& words) {
  try {
    int code = dispatch(words);
    // An interrupted run has said that it is.
    if (code == 0) flush_output();
    return code;
  } catch (const Interrupted& stop) {
    return fail(128 + stop.signal, "interrupted");
  } catch (const Error& error) {
    return fail(static_cast<int>(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(static_cast<int>(ErrorKind::io), "out of memory" + limit_text());
  } catch (const std::filesystem::filesystem_error& error) {
    // Its own text begins with the call, and here the file comes first.
    return fail(static_cast<int>(ErrorKind::io), system_message(error.path1().string(), "read", error.code().value()));
  } catch (const std::exception& error) {
    // What the library did not foresee comes from the system: file systems, threads.
    return fail(static_cast<int>(ErrorKind::io), error.what());
  }
}

}  // namespace
}  // namespace loragrad

int main(int argc, char** argv) {
  loragrad::prepare_process();
  int code = loragrad::run({argv + 1, argv + argc});
  // At its end a library waits for threads of its own, which may be waiting for memory that the system does not give.
  if (code == static_cast<int>(loragrad::ErrorKind::io)) {
    std::fflush(nullptr);
    ::_exit(code);
  }
  return code;
}
