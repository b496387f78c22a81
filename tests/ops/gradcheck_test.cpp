#include <doctest/doctest.h>

#include "engine/node.h"
#include "ops/elementwise.h"
#include "tests/ops/gradcheck.h"

using namespace loragrad;

namespace {

/// y = 2 x with a backward that can be wrong in several ways.
struct DoubleNode final : Node {
  DoubleNode(const Tensor& x, double factor, bool adds) : factor(factor), adds(adds) { set_inputs({x}); }
  std::string_view name() const override { return "double"; }
  void backward(const Tensor& dy, GradSink& sink) override {
    if (factor == 0) return;
    auto dx = sink.into(0);
    dy.device()->kernels().accumulate(*dy.device(), {dy.matrix(), factor, dx.matrix, adds ? dx.beta : 0});
  }
  double factor;
  bool adds;
};

OpCase doubling(double factor, bool adds) {
  return {.name = "double", .inputs = {{3, 5}}, .run = [=](const std::vector<Tensor>& in, const Setting&) {
            return attach(scale(in[0].detach(), 2), std::make_shared<DoubleNode>(in[0], factor, adds));
          }};
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the gradient checker accepts a right op") { CHECK(gradient_failure(doubling(2, true)) == ""); }

TEST_CASE("the gradient checker finds a gradient that is slightly wrong") {
  CHECK(contains(gradient_failure(doubling(2.0001, true)), "finite differences"));
}

TEST_CASE("the gradient checker finds a gradient that is overwritten instead of added to") {
  CHECK(contains(gradient_failure(doubling(2, false)), "second backward"));
}

TEST_CASE("the gradient checker finds a missing gradient") {
  CHECK(contains(gradient_failure(doubling(0, true)), "no gradient"));
}

TEST_CASE("the gradient checker finds an op that forgets to record itself") {
  OpCase forgetful{.name = "forgetful",
                   .inputs = {{2, 2}, {2, 2}},
                   .run = [](const std::vector<Tensor>& in, const Setting&) { return add(in[0], in[1].detach()); }};
  CHECK(contains(gradient_failure(forgetful), "mask 2: the result needs no gradient"));
}

TEST_CASE("the precision check finds a wrong f32 result") {
  OpCase wrong{.name = "wrong", .inputs = {{2, 2}}, .run = [](const std::vector<Tensor>& in, const Setting& s) {
                 return scale(in[0], s.dtype == DType::f32 ? 1.001 : 1);
               }};
  CHECK(contains(precision_failure(wrong, DType::f32), "in f64"));
}
