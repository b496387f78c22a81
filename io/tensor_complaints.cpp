#include "io/tensor_complaints.h"

#include "io/message.h"

namespace loragrad {

std::string TensorComplaints::text() const {
  std::size_t kinds = !missing_.empty() + !unexpected_.empty() + !shapes_.empty();
  std::string text;
  auto add = [&](const char* what, const std::vector<std::string>& items) {
    if (!items.empty()) text += (text.empty() ? "" : "; ") + std::string(what) + ": " + list_text(items, 240 / kinds);
  };
  add("missing", missing_);
  add("unexpected", unexpected_);
  add("of another shape", shapes_);
  return text;
}

}  // namespace loragrad
