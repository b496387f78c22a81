#include "io/pickle_opcodes.h"

#include <fmt/format.h>

#include <string_view>

namespace loragrad {
namespace {

std::string_view name_of(std::uint8_t opcode) {
  constexpr std::string_view from_0x80[] = {
      "PROTO",     "NEWOBJ",     "EXT1",        "EXT2",           "EXT4",      "TUPLE1",           "TUPLE2",
      "TUPLE3",    "NEWTRUE",    "NEWFALSE",    "LONG1",          "LONG4",     "SHORT_BINUNICODE", "BINUNICODE8",
      "BINBYTES8", "EMPTY_SET",  "ADDITEMS",    "FROZENSET",      "NEWOBJ_EX", "STACK_GLOBAL",     "MEMOIZE",
      "FRAME",     "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER"};
  if (opcode >= 0x80 && opcode - 0x80u < std::size(from_0x80)) return from_0x80[opcode - 0x80u];
  constexpr std::pair<char, std::string_view> letters[] = {{'(', "MARK"},
                                                           {'.', "STOP"},
                                                           {'0', "POP"},
                                                           {'1', "POP_MARK"},
                                                           {'2', "DUP"},
                                                           {'B', "BINBYTES"},
                                                           {'C', "SHORT_BINBYTES"},
                                                           {'F', "FLOAT"},
                                                           {'G', "BINFLOAT"},
                                                           {'I', "INT"},
                                                           {'J', "BININT"},
                                                           {'K', "BININT1"},
                                                           {'L', "LONG"},
                                                           {'M', "BININT2"},
                                                           {'N', "NONE"},
                                                           {'P', "PERSID"},
                                                           {'Q', "BINPERSID"},
                                                           {'R', "REDUCE"},
                                                           {'S', "STRING"},
                                                           {'T', "BINSTRING"},
                                                           {'U', "SHORT_BINSTRING"},
                                                           {'V', "UNICODE"},
                                                           {'X', "BINUNICODE"},
                                                           {'a', "APPEND"},
                                                           {'b', "BUILD"},
                                                           {'c', "GLOBAL"},
                                                           {'d', "DICT"},
                                                           {'e', "APPENDS"},
                                                           {'g', "GET"},
                                                           {'h', "BINGET"},
                                                           {'i', "INST"},
                                                           {'j', "LONG_BINGET"},
                                                           {'l', "LIST"},
                                                           {'o', "OBJ"},
                                                           {'p', "PUT"},
                                                           {'q', "BINPUT"},
                                                           {'r', "LONG_BINPUT"},
                                                           {'s', "SETITEM"},
                                                           {'t', "TUPLE"},
                                                           {'u', "SETITEMS"},
                                                           {')', "EMPTY_TUPLE"},
                                                           {']', "EMPTY_LIST"},
                                                           {'}', "EMPTY_DICT"}};
  for (auto [letter, name] : letters)
    if (static_cast<std::uint8_t>(letter) == opcode) return name;
  return "no opcode";
}

}  // namespace

std::string opcode_text(std::uint8_t opcode) { return fmt::format("{} (0x{:02x})", name_of(opcode), opcode); }

}  // namespace loragrad
