#include "data/row_adapter.h"

#include <algorithm>

#include "io/message.h"

namespace loragrad {

std::string row_adapter(const JsonRef& row, const std::vector<std::string>& names) {
  auto chosen = row.find("adapter");
  if (!chosen) return "";
  if (names.empty()) chosen->fail("null, as no adapter has a name (--adapter NAME=DIR)");
  if (!chosen->is_string() || std::count(names.begin(), names.end(), chosen->string()) == 0)
    chosen->fail("null or the name of an adapter (" + list_text(names, 160) + ")");
  return chosen->string();
}

}  // namespace loragrad
