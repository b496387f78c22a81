#pragma once
#include "io/json.h"

namespace loragrad {

/// Whether a config.json is of a model that reads more than text, and has its text model's configuration in text_config:
/// its own model_type is none of a family here.
bool has_text_part(const Json& config);
/// Such a configuration, whose text_config says what counts for the text model: tie_word_embeddings and the special ids
/// are read from the whole first, as transformers does. InputError for what would change the text model there.
Json with_text_settings(const JsonRef& config);

}  // namespace loragrad
