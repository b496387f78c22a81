#pragma once
#include <string>
#include <vector>

namespace loragrad {

/// What is wrong with the tensors of a file or folder, for one message.
class TensorComplaints {
 public:
  void missing(const std::string& name) { missing_.push_back(name); }
  void unexpected(const std::string& name) { unexpected_.push_back(name); }
  /// Shapes as text: "[768, 768]".
  void shape(const std::string& name, const std::string& expected, const std::string& found) {
    shapes_.push_back(name + " (expected " + expected + ", found " + found + ")");
  }
  /// "missing: a, b and 9,990 more; unexpected: c; of another shape: d (expected [4, 4], found [4, 5])"; "" when
  /// nothing is wrong.
  std::string text() const;

 private:
  std::vector<std::string> missing_, unexpected_, shapes_;
};

}  // namespace loragrad
