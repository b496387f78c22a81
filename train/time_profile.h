#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ops/timed_device.h"
#include "train/trainer.h"

namespace loragrad {

/// Where the time of a training step goes: the mean of all steps but the first, which also pays for code generation and
/// fresh memory (of the first where there is no other). A step without a loss computes nothing, and is none of them.
/// Fed by a timed_device and by the trainer's phases; what runs between steps, such as an evaluation, does not count.
class TimeProfile {
 public:
  static constexpr std::size_t phases = 3;  ///< StepPhase: forward, backward, update

  /// Calls and seconds of one kernel in a step.
  struct Kernel {
    std::string name;
    double calls = 0;
    std::array<double, phases> seconds{};
    double total() const { return seconds[0] + seconds[1] + seconds[2]; }
  };
  /// op(a) [m, k] op(b) [k, n]; the head is one, with its loss and its gradients' products. Products that differ in the
  /// number of tokens alone (m, or k where a is transposed) are one, with the mean number: ragged rows would make each
  /// its own.
  struct Product {
    double m = 0, n = 0, k = 0;
    bool transpose_a = false, transpose_b = false, ragged = false;
    DType a = DType::f32, b = DType::f32;
    double calls = 0, seconds = 0, flops = 0;
  };
  struct Report {
    std::int64_t first_step = 0, last_step = 0, steps = 0;  ///< whose mean it is; steps between may have had no loss
    double seconds = 0;                                     ///< of a step
    std::array<double, phases> in_phase{};                  ///< of its phases, kernels or not
    std::vector<Kernel> kernels;                            ///< the most expensive first
    std::vector<Product> products;                          ///< likewise
    double outside(std::size_t phase) const;                ///< in_phase, less the kernels'
  };

  // The three things to tell it.
  void kernel_called(const KernelCall& call);
  void phase_begins(StepPhase phase);
  void step_ends(const StepReport& step);

  Report report() const;

 private:
  struct Shape {
    bool transpose_a, transpose_b;
    std::int64_t first, second;  // the dimensions that no number of tokens is
    DType a, b;
    auto operator<=>(const Shape&) const = default;
  };
  struct Work {
    std::int64_t calls = 0, fewest = 0, most = 0;  // tokens of a call
    double seconds = 0, flops = 0, tokens = 0;
  };
  struct Sums {
    double seconds = 0;
    std::array<double, phases> in_phase{};
    std::map<std::string_view, Kernel> kernels;
    std::map<Shape, Work> products;
  };
  void phase_ends();
  void add_product(const Shape& shape, std::int64_t tokens, double seconds, int products);

  Sums sums_, first_;
  std::int64_t steps_ = 0, first_step_ = 0, last_step_ = 0;
  std::optional<StepPhase> phase_;  // none between steps
  double phase_began_ = 0;
};

}  // namespace loragrad
