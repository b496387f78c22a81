#pragma once
// Threads: functions of their arguments alone; any thread may use them.
#include <string>

namespace loragrad {

/// How the names of a text model's modules and parameters are spelled. A model may read images beside text; its text
/// model is then a part of it.
enum class Spelling {
  itself,   ///< a text model by itself: model.layers.0...., lm_head
  part,     ///< a part in transformers and PEFT: model.language_model.layers.0...., lm_head
  in_files  ///< a part in files, and in older transformers: language_model.model.layers.0...., language_model.lm_head
};

/// The name in another spelling. Names that are none of a text model's stay.
std::string spelled(const std::string& name, Spelling spelling);
/// Names that all spellings share are of a model by itself.
Spelling spelling_of(const std::string& name);
/// Whether a name of a model with several parts is one of its text model's.
bool is_in_text_part(const std::string& name);

}  // namespace loragrad
