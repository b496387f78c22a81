#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace loragrad::jinja {

struct Token {
  enum class Kind {
    data,  ///< text between tags
    block_begin,
    block_end,  ///< {% and %}
    variable_begin,
    variable_end,  ///< {{ and }}
    name,
    string,
    integer,
    number,
    sign,
    end  ///< of the template
  };
  Kind kind = Kind::end;
  std::string text = {};  ///< of a string what it means, of all others what stands there
  int line = 1;
};

/// The tokens of a template, with white space around tags taken away as Jinja does with trim_blocks and lstrip_blocks:
/// behind a block or comment one line break, before it the white space of its line; "-" takes all, "+" nothing. One line
/// break at the end of the template goes too. Comments are no tokens. Fault for what is none.
std::vector<Token> tokens_of(std::string_view source);

}  // namespace loragrad::jinja
