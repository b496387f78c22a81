#include "app/flags/generation_flags.h"

#include <limits>

namespace loragrad {

void add_generation_flags(Flags& flags, GenerateOptions& options, const char* of_max_tokens, const char* of_seed) {
  flags.integer("max-tokens", options.max_tokens, 1, std::numeric_limits<std::int32_t>::max(), of_max_tokens);
  flags.number("temperature", options.temperature, 0, std::numeric_limits<double>::max(),
               "0: always the likeliest token");
  flags.number("top-p", options.top_p, 0, 1,
               "draw from the likeliest tokens that together have this probability, above 0");
  flags.seed("seed", options.seed, of_seed);
}

}  // namespace loragrad
