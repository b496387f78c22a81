#include "data/tokenizer/growth_limit.h"

#include <fmt/format.h>

#include "engine/error.h"

namespace loragrad {

GrowthLimit::GrowthLimit(std::size_t size) : size_(size), limit_(100 * size + (1 << 20)) {}

void GrowthLimit::check(std::size_t size, const std::string& where) const {
  if (done_ <= limit_ && size <= limit_ - done_) return;
  throw InputError(fmt::format("{}: expected at most {} bytes from a text of {}, found more", where, limit_, size_));
}

}  // namespace loragrad
