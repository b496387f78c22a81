#include "ops/cpu/dispatch.h"
#include "ops/cpu/kernels.h"

namespace loragrad::cpu {

void embedding(Device& device, const EmbeddingArgs& args, void*) {
  with_scalar({args.table, args.out}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, args.out.rows, args.out.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> values;
      load(args.table, args.ids[row], col, n, values);
      if (args.scale != 1) values *= static_cast<C>(args.scale);
      store(values, args.beta, args.out, row, col, n);
    });
  });
}

void embedding_backward(Device& device, const EmbeddingBackwardArgs& args, void*) {
  // Equal ids add to the same row, so tokens are taken in order; the tasks are strips of columns.
  constexpr std::int64_t strip = 64;
  with_scalar({args.dout, args.dtable}, [&](auto scalar) {
    using C = decltype(scalar);
    threads_of(device).parallel_for((args.dout.cols + strip - 1) / strip, [&](std::int64_t task) {
      std::int64_t col = task * strip, n = std::min(strip, args.dout.cols - col);
      Eigen::Array<C, strip, 1> values = Eigen::Array<C, strip, 1>::Zero();
      for (std::int64_t t = 0; t < args.dout.rows; ++t) {
        load(args.dout, t, col, n, values.data());
        values *= static_cast<C>(args.scale);
        store(values.data(), 1, args.dtable, args.ids[t], col, n);
      }
    });
  });
}

void put_rows(Device& device, const PutRowsArgs& args, void*) {
  with_scalar({args.x, args.y}, [&](auto scalar) {
    using C = decltype(scalar);
    for_blocks(device, args.x.rows, args.x.cols, [&](std::int64_t row, std::int64_t col, std::int64_t n) {
      Block<C> values;
      load(args.x, row, col, n, values);
      store(values, 0, args.y, args.rows[row], col, n);
    });
  });
}

}  // namespace loragrad::cpu
