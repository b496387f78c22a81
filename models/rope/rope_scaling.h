#pragma once
// Threads: functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <vector>

namespace loragrad {

/// f_i = theta^(-2i / dims), 2i < dims: the rotation of the first dims dimensions of a head.  Su et al. 2021, section 3.2
std::vector<double> rope_frequencies(double theta, std::int64_t dims);

/// Llama 3.1's: waves shorter than the original context keep their frequency, much longer ones are divided, between is
/// between. With the wavelength λ = 2π/f and L = original: λ < L/high: f; λ > L/low: f/factor; else, with
/// t = (L/λ - low)/(high - low), t f + (1 - t) f/factor.
struct Llama3Scaling {
  double factor, low, high, original;
};
void scale(std::vector<double>& frequencies, const Llama3Scaling& by);

/// Dimensions that turn often within the original context keep their frequency, those that hardly turn are divided,
/// between is a ramp:  f_i (1 - r_i) + f_i/factor r_i,  r_i = clamp((i - low)/(high - low), 0, 1), where
/// low = floor d(fast) >= 0, high = ceil d(slow) <= dims - 1 (without `truncate` neither floor nor ceil), and
/// d(n) = dims ln(original/(2π n)) / (2 ln theta) is the dimension that turns n times.    Peng et al. 2023, section 3.2
struct YarnScaling {
  double factor, original, fast = 32, slow = 1;
  bool truncate = true;
};
std::vector<double> yarn_frequencies(double theta, std::int64_t dims, const YarnScaling& by);
/// 0.1 mscale ln(factor) + 1, and 1 up to a factor of 1: what yarn multiplies cosines and sines by.  Section 3.4
double yarn_factor(double factor, double mscale = 1);

/// Each dimension is divided by a factor of its own:  f_i / factors_i.       Ding et al. 2024, section 3
std::vector<double> longrope_frequencies(double theta, std::int64_t dims, const std::vector<double>& factors);
/// sqrt(1 + ln(factor)/ln(original)), and 1 up to a factor of 1: what longrope multiplies cosines and sines by.
double longrope_factor(double factor, double original);

/// Of a row of `tokens` > longest (the model's positions): theta grows to theta (factor tokens/longest - factor + 1)^
/// (dims/(dims - 2)), dims > 2. "NTK-aware" scaling, as transformers has it by the name of "dynamic".
std::vector<double> dynamic_frequencies(double theta, std::int64_t dims, double factor, std::int64_t longest,
                                        std::int64_t tokens);

}  // namespace loragrad
