#pragma once
#include <cstdint>
#include <string>

namespace loragrad {

/// Instructions of Python's pickles, protocols 0 to 5 (Lib/pickletools.py): those that read_tensor_pickle obeys.
enum class PickleOpcode : std::uint8_t {
  mark = '(',
  stop = '.',
  bin_int = 'J',
  bin_int1 = 'K',
  bin_int2 = 'M',
  none = 'N',
  bin_persid = 'Q',
  reduce = 'R',
  bin_unicode = 'X',
  append = 'a',
  build = 'b',
  global = 'c',
  empty_dict = '}',
  appends = 'e',
  bin_get = 'h',
  long_bin_get = 'j',
  empty_list = ']',
  bin_put = 'q',
  long_bin_put = 'r',
  set_item = 's',
  tuple = 't',
  empty_tuple = ')',
  set_items = 'u',
  bin_float = 'G',
  proto = 0x80,
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  new_true = 0x88,
  new_false = 0x89,
  long1 = 0x8a,
};

/// "INST (0x69)" of any byte, "no opcode (0xff)" of one that is none.
std::string opcode_text(std::uint8_t opcode);

}  // namespace loragrad
