#pragma once

namespace cuda_emulation {

/// How often the fake library was called.
struct LibraryCalls {
  int asked = 0, checked = 0, multiplied = 0;
};
LibraryCalls& library_calls();

}  // namespace cuda_emulation
