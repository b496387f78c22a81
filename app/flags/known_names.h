#pragma once
#include <functional>
#include <string>

namespace loragrad {

/// The name as ours are written: without dashes in front and "=VALUE" behind, underscores as hyphens.
std::string flag_name(const std::string& word);

/// For a flag as transformers, PEFT, TRL, axolotl, LLaMA-Factory, unsloth, mlx-lm, llama.cpp or nanoGPT name it: what
/// it is here, as the end of an error (": did you mean --lr?", ": nothing to give: ..."); "" for a name that nobody
/// knows, and for one whose flag the subcommand does not have (`has` tells).
std::string known_name_hint(const std::string& name, const std::function<bool(const std::string&)>& has);

}  // namespace loragrad
