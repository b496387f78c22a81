#include "io/tensor_pickle.h"

#include "io/message.h"
#include "tests/io/support.h"
#include "tests/io/torch_writer.h"

using namespace loragrad;
using namespace loragrad::test;
using namespace std::string_literals;

namespace {

std::string tensor(std::int64_t offset = 0, const std::vector<std::int64_t>& shape = {2, 3},
                   const std::vector<std::int64_t>& strides = {3, 1}) {
  return pickled_tensor(pickled_storage("FloatStorage", "0", 6), offset, shape, strides);
}

/// What is said of a state dict in which "a" is `value`.
std::string refusal_of(const std::string& pickle) {
  return message_of<InputError>([&] { read_tensor_pickle(pickle, "f: data.pkl"); });
}
std::string refusal(const std::string& value) { return refusal_of(pickled_dict(pickled_text("a") + value)); }

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

const std::string ordered = pickled_global("collections", "OrderedDict") + ")R";

}  // namespace

TEST_CASE("a pickle of tensors") {
  // A parameter, a plain dict around all, one value put away and taken again, attributes.
  std::string parameter = pickled_global("torch._utils", "_rebuild_parameter") + "(" + tensor(1, {5}, {1}) + "q\x07" +
                          "\x88" + ordered + "tR";
  std::string pickle =
      "\x80\x02}(" + pickled_text("a.b") + tensor() + pickled_text("p") + parameter + pickled_text("again") + "h\x07u.";
  std::vector<PickledTensor> tensors = read_tensor_pickle(pickle, "f");
  REQUIRE(tensors.size() == 3);
  CHECK(tensors[0].name == "a.b");
  CHECK(tensors[0].storage == "0");
  CHECK(tensors[0].dtype_name == "F32");
  CHECK(tensors[0].storage_elements == 6);
  CHECK(tensors[0].shape == std::vector<std::int64_t>{2, 3});
  CHECK(tensors[0].strides == std::vector<std::int64_t>{3, 1});
  for (int i : {1, 2}) CHECK(tensors[i].offset == 1);
  CHECK(read_tensor_pickle("\x80\x02}.", "f").empty());
  // Items one by one, and attributes of every kind.
  CHECK(read_tensor_pickle("\x80\x02" + ordered + pickled_text("a") + tensor() + "s}" + pickled_text("_metadata") +
                               ordered + "K\x01]Na(NG12345678\x85" + "ess" + "b.",
                           "f")
            .size() == 1);
}

TEST_CASE("globals that are no tensor's") {
  for (auto [module, name] : {std::pair("os", "system"),
                              {"posix", "system"},
                              {"builtins", "eval"},
                              {"__builtin__", "exec"},
                              {"torch", "load"},
                              {"torch._utils", "_rebuild_tensor"},
                              {"torch", "QInt8Storage"},
                              {"torch", "FloatStorage.__init__"},
                              {"torch.", "FloatStorage"},
                              {"collections", "OrderedDict "},
                              {"collections", "defaultdict"},
                              {"torch.storage", "_load_from_bytes"},
                              {"torch._tensor", "_rebuild_from_type_v2"}}) {
    std::string said = refusal(pickled_global(module, name) + "(" + pickled_text("ls") + "tR");
    CHECK(contains(said, "f: data.pkl: byte "));
    CHECK_MESSAGE(contains(said, "found GLOBAL "s + module + "." + name), said);
    CHECK(line_text(said).size() <= longest_line);
  }
  CHECK(contains(refusal("cos\x1b\nsystem\n"), "GLOBAL os\\u001b.system"));
  // The allowed ones do nothing but what they are for.
  CHECK(contains(refusal(pickled_global("torch", "FloatStorage") + ")R"),
                 "expected a call of what makes tensors, found torch.FloatStorage"));
  CHECK(contains(refusal(pickled_global("collections", "OrderedDict") + "K\x01\x85R"),
                 "expected no arguments of OrderedDict"));
  CHECK(contains(refusal(pickled_global("collections", "OrderedDict") + "]R"),
                 "expected a tuple for arguments, found a list"));
  CHECK(contains(refusal(pickled_text("eval") + ")R"), "expected a global for what is called, found a text"));
  CHECK(contains(refusal(tensor() + ")R"), "expected a global for what is called, found a tensor"));
  CHECK(contains(refusal(pickled_global("torch._utils", "_rebuild_parameter") + ")R"), "expected 3 arguments"));
  CHECK(contains(refusal(pickled_global("torch._utils", "_rebuild_parameter") + "K\x01\x88" + ordered + "\x87R"),
                 "expected a tensor for a parameter"));
}

TEST_CASE("every opcode that tensors do not need is refused by name") {
  int refused = 0;
  for (int code = 0; code < 256; ++code) {
    auto opcode = static_cast<char>(code);
    if ("(.JKMNQRXabc}eh]jqrst)uG\x80\x85\x86\x87\x88\x89\x8a"s.find(opcode) != std::string::npos && opcode) continue;
    ++refused;
    std::string said = refusal(std::string(1, opcode) + "1\n1\n1\n");
    CHECK_MESSAGE(contains(said, "expected an opcode that tensors need, found "), said);
  }
  CHECK(refused == 256 - 31);
  for (auto [opcode, name] : {std::pair('i', "INST (0x69)"),
                              {'o', "OBJ (0x6f)"},
                              {'0', "POP (0x30)"},
                              {'2', "DUP (0x32)"},
                              {'\x81', "NEWOBJ (0x81)"},
                              {'\x82', "EXT1 (0x82)"},
                              {'\x93', "STACK_GLOBAL (0x93)"},
                              {'\x98', "READONLY_BUFFER (0x98)"},
                              {'P', "PERSID (0x50)"},
                              {'\x8c', "SHORT_BINUNICODE (0x8c)"},
                              {'\x95', "FRAME (0x95)"},
                              {'\xff', "no opcode (0xff)"}})
    CHECK(contains(refusal(std::string(1, opcode)), "found "s + name));
}

TEST_CASE("BUILD gives attributes to an OrderedDict and to nothing else") {
  std::string state = "}" + pickled_text("_metadata") + "Ns";
  for (const std::string& object :
       {tensor(), "}"s, "]"s, pickled_global("torch", "FloatStorage"), pickled_text("x"), "N"s})
    CHECK(contains(refusal(object + state + "b"), "expected an OrderedDict for what BUILD gives attributes"));
  CHECK(contains(refusal(ordered + ordered + "b"), "expected a dict for attributes"));
  CHECK(contains(refusal(ordered + state + "b"), "a: expected a tensor, found an OrderedDict"));
}

TEST_CASE("tensors and storages of the wrong parts") {
  auto with = [&](std::string_view from, std::string_view to) { return refusal(replaced(tensor(), from, to)); };
  CHECK(contains(with(pickled_text("storage"), pickled_text("module")),
                 "expected a persistent id of a storage, found module"));
  CHECK(contains(with(pickled_text("storage"), "N"), "expected a text for a persistent id's kind, found None"));
  CHECK(contains(with("tQ", "NtQ"), "expected a persistent id of 5 parts, found 6"));
  CHECK(contains(with("tQ", "tNQ"), "expected a tuple for a persistent id, found None"));
  CHECK(contains(with(pickled_global("torch", "FloatStorage"), pickled_global("collections", "OrderedDict")),
                 "expected a storage's type, found collections.OrderedDict"));
  CHECK(contains(with(pickled_text("0"), "K\x01"), "expected a text for a storage's key, found an integer"));
  CHECK(contains(with(pickled_number(6), pickled_number(-6)),
                 "expected a storage's number of elements of at least 0, found -6"));
  CHECK(contains(with(pickled_number(6), "\x88"),
                 "expected an integer for a storage's number of elements, found a truth value"));
  CHECK(contains(refusal(tensor(-1)), "expected a tensor's offset of at least 0, found -1"));
  CHECK(contains(refusal(tensor(0, {2, -3})), "expected a dimension of at least 0, found -3"));
  CHECK(contains(refusal(tensor(0, {2, 3}, {-3, 1})), "expected a stride of at least 0, found -3"));
  CHECK(contains(refusal(tensor(0, {2, 3}, {1})), "expected 2 strides, found 1"));
  CHECK(contains(with("\x89", "K\x01"), "expected a truth value for a tensor's requires_grad"));
  CHECK(contains(with(ordered, "}"), "expected an OrderedDict for a tensor's hooks"));
  CHECK(contains(with(ordered, ordered + "NNs"), "expected a tensor without hooks"));
  CHECK(contains(with(ordered + "t", ordered + "}t"), "expected 6 arguments of _rebuild_tensor_v2, found 7"));
  CHECK(read_tensor_pickle(pickled_dict(pickled_text("a") + replaced(tensor(), ordered + "t", ordered + "Nt")), "f")
            .size() == 1);
  CHECK(contains(refusal(replaced(tensor(), "\x8a\x08" + little(6, 8), "\x8a\x09" + little(6, 9))),
                 "expected an integer of at most 8 bytes, found 9"));
}

TEST_CASE("what was saved is a dict of names and tensors") {
  CHECK(refusal("K\x01") == "f: data.pkl: a: expected a tensor, found an integer");
  CHECK(contains(refusal("}"), "a: expected a tensor, found a dict"));
  CHECK(contains(refusal_of("\x80\x02]."), "expected a dict for what was saved, found a list"));
  CHECK(contains(refusal_of("\x80\x02" + tensor() + "."), "expected a dict for what was saved, found a tensor"));
  CHECK(
      contains(refusal_of(pickled_dict("K\x01" + tensor())), "expected a text for a tensor's name, found an integer"));
  CHECK(contains(refusal_of(pickled_dict(pickled_text("a") + tensor() + pickled_text("a") + tensor())),
                 "a: expected every name once"));
  CHECK(contains(refusal_of(pickled_dict(pickled_text("a"))), "expected pairs of keys and values, found a key alone"));
  CHECK(contains(refusal_of(pickled_dict(pickled_text("\xff") + tensor())), "expected a text in UTF-8"));
}

TEST_CASE("programs that are broken") {
  std::string sound = pickled_dict(pickled_text("a") + tensor());
  for (std::size_t size = 0; size < sound.size(); ++size)
    CHECK_THROWS_AS(read_tensor_pickle(sound.substr(0, size), "f"), InputError);
  CHECK(contains(refusal_of(sound + "."), "expected the pickle's end, found 1 bytes more"));
  CHECK(contains(refusal_of("\x80\x02}}."), "expected one value, found 2"));
  CHECK(contains(refusal_of("\x80\x02}(."), "expected one value"));
  CHECK(contains(refusal_of("\x80\x02."), "expected one value, found 0"));
  CHECK(contains(refusal_of("\x80\x04}."), "expected PROTO 2 at the start, found PROTO 4"));
  CHECK(contains(refusal_of("}."), "byte 1: expected PROTO 2, found EMPTY_DICT"));
  CHECK(contains(refusal_of("\x80\x02\x80\x02}."), "byte 3: expected PROTO 2 at the start"));
  CHECK(contains(refusal("u"), "expected pairs"));
  CHECK(contains(refusal_of("\x80\x02u."), "expected a mark on the stack, found none"));
  CHECK(contains(refusal_of("\x80\x02\x85."), "expected a value on the stack, found none"));
  CHECK(contains(refusal_of("\x80\x02}(\x85."), "expected a value on the stack, found none"));
  CHECK(contains(refusal("h\x05"), "expected a value that was put away, found none as 5"));
  CHECK(contains(refusal("j\xff\xff\xff\xff"), "found none as 4294967295"));
  CHECK(contains(refusal("X" + little(0xffffffff, 4)), "expected 4294967295 bytes more, found the pickle's end"));
  CHECK(contains(refusal("]K\x01K\x02s"), "expected a dict for what gets items, found a list"));
  CHECK(contains(refusal("}K\x01" + "a"s), "expected a list for what is appended to, found a dict"));
  CHECK(contains(refusal("cposix"), "expected a line"));
  for (std::size_t at = 0; at < sound.size(); ++at)
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = sound;
      changed[at] = static_cast<char>(byte);
      try {
        read_tensor_pickle(changed, "f");
      } catch (const InputError&) {
      }
    }
}

TEST_CASE("pickles that nest, refer to themselves or are long") {
  std::string deep = "\x80\x02N" + std::string(1 << 20, '\x85') + ".";
  CHECK(contains(refusal_of(deep), "expected a dict for what was saved, found a tuple"));
  std::string lists = "\x80\x02" + std::string(1 << 20, ']') + std::string((1 << 20) - 1, 'a') + ".";
  CHECK(contains(refusal_of(lists), "found a list"));
  // A dict in itself, and each level twice in the next: nobody walks them.
  CHECK(contains(refusal("}q\x01" + "h\x01h\x01s"s), "a: expected a tensor, found a dict"));
  std::string laughs = "]q\x01" + "h\x01"s;
  for (int i = 0; i < 60; ++i) laughs += "h\x01\x86q\x01" + "h\x01"s;
  CHECK_THROWS_AS(read_tensor_pickle("\x80\x02" + laughs + ".", "f"), InputError);
  CHECK(contains(refusal_of(std::string((1 << 24) + 1, 'N')), "expected at most 16777216 bytes, found 16777217"));
}
