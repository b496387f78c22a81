#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace loragrad {

/// Values that a pickle makes (io/tensor_pickle.h), by their places among all of them: they may refer to each other in
/// any way, also in circles, and nest as deep as they like, as nothing here is recursive.
using PickledId = std::uint32_t;

struct PickledValue {
  enum class Kind { none, boolean, integer, real, text, tuple, list, dict, ordered_dict, global, storage, tensor };
  Kind kind = Kind::none;
  std::int64_t number = 0;     ///< boolean, integer; global: which one (io/pickled_torch.h)
  std::string_view text = {};  ///< text: within the pickle
  /// tuple, list; dict: key, value, key, ...; storage: type, key, count; tensor: storage, offset, shape, strides
  std::vector<PickledId> items = {};
};

/// "a tuple"
std::string_view kind_text(PickledValue::Kind kind);

class PickledValues {
 public:
  using Kind = PickledValue::Kind;
  /// `where` is "FILE: data.pkl".
  explicit PickledValues(std::string where) : where_(std::move(where)) {}

  PickledId add(PickledValue value) {
    values_.push_back(std::move(value));
    return static_cast<PickledId>(values_.size() - 1);
  }
  /// Stays where it is when others are added.
  const PickledValue& operator[](PickledId id) const { return values_[id]; }
  void append(PickledId id, const std::vector<PickledId>& items);

  /// Where messages say they are: the byte of an instruction, from 0.
  void at_byte(std::size_t byte) { byte_ = byte; }
  /// InputError "WHERE: byte N: EXPECTED, found FOUND"
  [[noreturn]] void fail(const std::string& expected, const std::string& found) const;
  /// The value, if it is of this kind; `what` names it in the error.
  const PickledValue& expect(PickledId id, Kind kind, std::string_view what) const;
  /// An integer of at least 0.
  std::int64_t count(PickledId id, std::string_view what) const;
  const std::string& where() const { return where_; }

 private:
  std::string where_;
  std::size_t byte_ = 0;
  std::deque<PickledValue> values_;
};

}  // namespace loragrad
