#include "io/tensor_pickle.h"

#include <fmt/format.h>

#include <set>
#include <unordered_map>

#include "engine/error.h"
#include "io/json.h"
#include "io/pickle_opcodes.h"
#include "io/pickled_torch.h"
#include "io/pickled_values.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

constexpr std::size_t longest_pickle = std::size_t{1} << 24;

using Kind = PickledValue::Kind;
using Ids = std::vector<PickledId>;

/// The stack machine that a pickle is a program for (Lib/pickletools.py).
class TensorUnpickler {
 public:
  TensorUnpickler(std::string_view pickle, const std::string& where) : pickle_(pickle), values_(where) {}

  std::vector<PickledTensor> run() {
    while (step()) {
    }
    if (at_ != pickle_.size()) fail("expected the pickle's end", fmt::format("{} bytes more", pickle_.size() - at_));
    if (stack_.size() != 1 || !marks_.empty()) fail("expected one value", std::to_string(stack_.size()));
    return state_dict();
  }

 private:
  [[noreturn]] void fail(const std::string& expected, const std::string& found) const { values_.fail(expected, found); }

  std::string_view bytes(std::size_t count) {
    if (count > pickle_.size() - at_) fail(fmt::format("expected {} bytes more", count), "the pickle's end");
    at_ += count;
    return pickle_.substr(at_ - count, count);
  }
  /// Little-endian, of at most 8 bytes.
  std::uint64_t number(std::size_t size) {
    std::uint64_t value = 0;
    std::string_view read = bytes(size);
    for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(read[i]);
    return value;
  }
  std::string_view line() {
    std::size_t end = pickle_.find('\n', at_);
    if (end == std::string_view::npos) fail("expected a line", "the pickle's end");
    std::string_view text = bytes(end - at_);
    ++at_;
    return text;
  }
  std::string_view text() {
    std::string_view text = bytes(number(4));
    for (std::size_t at = 0; at < text.size();) {
      CodePoint point = code_point_at(text, at);
      if (!point.valid) fail("expected a text in UTF-8", escaped(text));
      at += point.size;
    }
    return text;
  }
  /// Two's complement of as many bytes as the next one says.
  std::int64_t long_integer() {
    std::size_t size = number(1);
    if (size > 8) fail("expected an integer of at most 8 bytes", std::to_string(size));
    std::uint64_t value = number(size);
    std::size_t bits = 8 * size;
    if (bits > 0 && bits < 64 && value >> (bits - 1)) value |= ~std::uint64_t{0} << bits;
    return static_cast<std::int64_t>(value);
  }

  bool push(PickledId id) {
    stack_.push_back(id);
    return true;
  }
  bool push_new(PickledValue value) { return push(values_.add(std::move(value))); }
  bool push_number(Kind kind, std::int64_t number) { return push_new({.kind = kind, .number = number}); }
  bool push_tuple(std::size_t size) {
    Ids items(size);
    for (std::size_t i = size; i-- > 0;) items[i] = pop();
    return push_new({.kind = Kind::tuple, .items = std::move(items)});
  }
  PickledId top() const {
    // What lies below a mark is out of reach until the mark goes.
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) fail("expected a value on the stack", "none");
    return stack_.back();
  }
  PickledId pop() {
    PickledId id = top();
    stack_.pop_back();
    return id;
  }
  /// All above the last mark, which goes.
  Ids pop_marked() {
    if (marks_.empty()) fail("expected a mark on the stack", "none");
    auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    Ids items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }

  bool extend_list(const Ids& items) {
    values_.expect(top(), Kind::list, "what is appended to");
    values_.append(top(), items);
    return true;
  }
  bool extend_dict(const Ids& items) {
    if (values_[top()].kind != Kind::ordered_dict) values_.expect(top(), Kind::dict, "what gets items");
    if (items.size() % 2) fail("expected pairs of keys and values", "a key alone");
    values_.append(top(), items);
    return true;
  }
  bool put(std::uint64_t place) {
    memo_[place] = top();
    return true;
  }
  bool get(std::uint64_t place) {
    auto found = memo_.find(place);
    if (found == memo_.end()) fail("expected a value that was put away", fmt::format("none as {}", place));
    return push(found->second);
  }
  bool reduce() {
    Ids arguments = values_.expect(pop(), Kind::tuple, "arguments").items;
    return push(pickled_call(values_, pop(), arguments));
  }
  bool build() {
    values_.expect(pop(), Kind::dict, "attributes");
    values_.expect(top(), Kind::ordered_dict, "what BUILD gives attributes");
    return true;
  }

  /// Obeys one instruction; false for the last.
  bool step() {
    std::size_t began = at_;
    values_.at_byte(began);
    auto opcode = static_cast<std::uint8_t>(number(1));
    if (began == 0 && opcode != static_cast<std::uint8_t>(PickleOpcode::proto))
      fail("expected PROTO 2", opcode_text(opcode));
    switch (static_cast<PickleOpcode>(opcode)) {
      case PickleOpcode::proto:
        if (std::uint64_t protocol = number(1); protocol != 2 || began != 0)
          fail("expected PROTO 2 at the start", fmt::format("PROTO {}", protocol));
        return true;
      case PickleOpcode::stop:
        return false;
      case PickleOpcode::mark:
        marks_.push_back(stack_.size());
        return true;
      case PickleOpcode::none:
        return push_new({});
      case PickleOpcode::new_true:
        return push_number(Kind::boolean, 1);
      case PickleOpcode::new_false:
        return push_number(Kind::boolean, 0);
      case PickleOpcode::bin_int:
        return push_number(Kind::integer, static_cast<std::int32_t>(number(4)));
      case PickleOpcode::bin_int1:
        return push_number(Kind::integer, static_cast<std::int64_t>(number(1)));
      case PickleOpcode::bin_int2:
        return push_number(Kind::integer, static_cast<std::int64_t>(number(2)));
      case PickleOpcode::long1:
        return push_number(Kind::integer, long_integer());
      case PickleOpcode::bin_float:
        bytes(8);  // nothing depends on it
        return push_new({.kind = Kind::real});
      case PickleOpcode::bin_unicode:
        return push_new({.kind = Kind::text, .text = text()});
      case PickleOpcode::empty_tuple:
        return push_tuple(0);
      case PickleOpcode::tuple1:
        return push_tuple(1);
      case PickleOpcode::tuple2:
        return push_tuple(2);
      case PickleOpcode::tuple3:
        return push_tuple(3);
      case PickleOpcode::tuple:
        return push_new({.kind = Kind::tuple, .items = pop_marked()});
      case PickleOpcode::empty_list:
        return push_new({.kind = Kind::list});
      case PickleOpcode::append:
        return extend_list({pop()});
      case PickleOpcode::appends:
        return extend_list(pop_marked());
      case PickleOpcode::empty_dict:
        return push_new({.kind = Kind::dict});
      case PickleOpcode::set_item: {
        PickledId value = pop(), key = pop();
        return extend_dict({key, value});
      }
      case PickleOpcode::set_items:
        return extend_dict(pop_marked());
      case PickleOpcode::bin_put:
        return put(number(1));
      case PickleOpcode::long_bin_put:
        return put(number(4));
      case PickleOpcode::bin_get:
        return get(number(1));
      case PickleOpcode::long_bin_get:
        return get(number(4));
      case PickleOpcode::global: {
        std::string_view module = line(), name = line();
        return push(pickled_global(values_, module, name));
      }
      case PickleOpcode::bin_persid:
        return push(pickled_storage(values_, pop()));
      case PickleOpcode::reduce:
        return reduce();
      case PickleOpcode::build:
        return build();
    }
    fail("expected an opcode that tensors need", opcode_text(opcode));
  }

  std::vector<PickledTensor> state_dict() const {
    if (values_[top()].kind != Kind::ordered_dict) values_.expect(top(), Kind::dict, "what was saved");
    const Ids& items = values_[top()].items;
    std::vector<PickledTensor> tensors;
    std::set<std::string_view> names;
    for (std::size_t i = 0; i < items.size(); i += 2) {
      std::string_view name = values_.expect(items[i], Kind::text, "a tensor's name").text;
      auto refuse = [&](const std::string& why) {
        throw InputError(fmt::format("{}: {}: {}", values_.where(), escaped(name, 400), why));
      };
      Kind kind = values_[items[i + 1]].kind;
      if (kind != Kind::tensor) refuse(fmt::format("expected a tensor, found {}", kind_text(kind)));
      if (!names.insert(name).second) refuse("expected every name once");
      tensors.push_back(pickled_tensor(values_, name, items[i + 1]));
    }
    return tensors;
  }

  std::string_view pickle_;
  PickledValues values_;
  std::size_t at_ = 0;
  Ids stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack
  std::unordered_map<std::uint64_t, PickledId> memo_;
};

}  // namespace

std::vector<PickledTensor> read_tensor_pickle(std::string_view pickle, const std::string& where) {
  if (pickle.size() > longest_pickle)
    throw InputError(fmt::format("{}: expected at most {} bytes, found {}", where, longest_pickle, pickle.size()));
  return TensorUnpickler(pickle, where).run();
}

}  // namespace loragrad
