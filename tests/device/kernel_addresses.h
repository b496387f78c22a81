#pragma once
#include "engine/kernels.h"

/// Where a kernel's arguments say that it reads and writes: calls on_device(address) for what has to be in the device's
/// memory, and on_host(address) for what engine/kernels.h leaves in the host's. Null addresses, and those of nothing,
/// are left out.
namespace loragrad::test {

template <class See>
struct Addresses {
  See see;  // (const void* address, bool on_device)

  void on_device(const void* address) {
    if (address) see(address, true);
  }
  void on_host(const void* address) {
    if (address) see(address, false);
  }

  void of(const ConstMatrix& m) {
    if (m.rows * m.cols > 0) on_device(m.data);
  }
  void of(const Matrix& m) { of(ConstMatrix(m)); }
  void of(const void* scratch) { on_device(scratch); }
  template <class... More>
  void of_all(const More&... more) {
    (of(more), ...);
  }

  void of(const GemmArgs& g) { of_all(g.c, g.a, g.b, g.bias, g.dropout.tokens); }
  void of(const GemmListArgs& a) {
    for (const GemmArgs& g : a.products) of(g);
    on_host(a.products.data());
  }
  void of(const AccumulateArgs& a) { of_all(a.x, a.y); }
  void of(const AddArgs& a) { of_all(a.a, a.b, a.y); }
  void of(const ScaleArgs& a) { of_all(a.y, a.factor); }
  void of(const ScaleEachArgs& a) { of_all(a.x, a.factors, a.y); }
  void of(const ColumnSumArgs& a) { of_all(a.x, a.out); }
  void of(const ColumnDotArgs& a) { of_all(a.a, a.b, a.out); }
  void of(const WeightNormsArgs& a) { of_all(a.w, a.product, a.b, a.norm, a.magnitude, a.factor, a.inverse); }
  void of(const RescaleArgs& a) { of_all(a.u, a.l, a.factors, a.bias, a.y, a.e); }
  void of(const L2NormArgs& a) {
    for (const ConstMatrix& x : a.x) of(x);
    of_all(a.norm, a.clip);
    on_host(a.x.data());
  }
  void of(const DropoutArgs& a) { of_all(a.x, a.y, a.mask.tokens); }
  void of(const ActivationArgs& a) { of_all(a.x, a.y, a.mask); }
  void of(const ActivationBackwardArgs& a) { of_all(a.x, a.dy, a.dx, a.mask); }
  void of(const GatedArgs& a) { of_all(a.gate, a.up, a.y); }
  void of(const GatedBackwardArgs& a) { of_all(a.gate, a.up, a.dy, a.dgate, a.dup); }
  void of(const NormArgs& a) { of_all(a.x, a.weight, a.bias, a.y, a.mean, a.rstd); }
  void of(const NormBackwardArgs& a) { of_all(a.x, a.dy, a.weight, a.mean, a.rstd, a.dx, a.dweight, a.dbias); }
  void of(const RotationsArgs& a) { of_all(a.positions, a.frequencies, a.y); }
  void of(const RopeArgs& a) { of_all(a.x, a.y, a.rotations); }
  void of(const AttentionArgs& a) {
    of_all(a.q, a.k, a.v, a.out, a.logsumexp);
    if (a.rows.empty()) return;
    on_device(a.device_rows);
    on_host(a.rows.data());
  }
  void of(const AttentionBackwardArgs& a) { of_all(a.forward, a.dout, a.dq, a.dk, a.dv); }
  void of(const EmbeddingArgs& a) { of_all(a.table, a.ids, a.out); }
  void of(const EmbeddingBackwardArgs& a) { of_all(a.dout, a.ids, a.dtable); }
  void of(const PutRowsArgs& a) { of_all(a.x, a.rows, a.y); }
  void of(const ArgmaxArgs& a) { of_all(a.x, a.ids); }
  void of(const SoftCapArgs& a) { of(a.y); }
  void of(const HeadLossArgs& a) {
    of_all(a.x, a.head, a.tokens, a.ids, a.sum, a.loss, a.dx, a.dhead);
    of_all(a.term.u, a.term.b, a.term.du, a.term.db);
  }
  void of(const AdamWArgs& a) {
    for (const AdamWTensor& t : a.tensors) of_all(t.parameter, t.m, t.v, t.gradient);
    of(a.grad_scale);
    on_host(a.tensors.data());
  }
};

/// Calls see(address, on device?) for the addresses in a kernel's arguments.
template <class See, class... Args>
void for_addresses(See see, const Args&... args) {
  Addresses<See>{see}.of_all(args...);
}

}  // namespace loragrad::test
