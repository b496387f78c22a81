#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace loragrad {

enum class NormalForm { nfc, nfd, nfkc, nfkd };

/// Unicode normal form (UAX 15) of valid text, O(n log n). `sources`, if given, becomes as long as the result: for each
/// of its bytes, where in `text` the character begins that this came from; of several that were composed, the first.
std::string normal_form(std::string_view text, NormalForm form, std::vector<std::size_t>* sources = nullptr);

}  // namespace loragrad
