#pragma once
#include <cstddef>
#include <string>

namespace loragrad {

/// How long a text may become on its way through a tokenizer's steps. They lengthen it: a space becomes three bytes,
/// one character eighteen. Steps of a file that double it over and over are stopped long before the memory is gone.
class GrowthLimit {
 public:
  /// For a text of `size` bytes: a hundred times as many, and a MiB for the short ones.
  explicit GrowthLimit(std::size_t size);
  /// InputError("WHERE: expected ...") when the parts that are done and `size` bytes more are over the limit.
  void check(std::size_t size, const std::string& where) const;
  /// Counts a part of the text that is done.
  void add(std::size_t size) { done_ += size; }

 private:
  std::size_t size_, limit_, done_ = 0;
};

}  // namespace loragrad
