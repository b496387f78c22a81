#include "models/rope/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace loragrad {

std::vector<double> rope_frequencies(double theta, std::int64_t dims) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < dims; i += 2)
    frequencies.push_back(std::pow(theta, -static_cast<double>(i) / static_cast<double>(dims)));
  return frequencies;
}

void scale(std::vector<double>& frequencies, const Llama3Scaling& by) {
  for (double& f : frequencies) {
    double wavelength = 2 * std::numbers::pi / f;
    if (wavelength > by.original / by.low) {
      f /= by.factor;
    } else if (wavelength >= by.original / by.high) {
      double t = (by.original / wavelength - by.low) / (by.high - by.low);
      f = std::fma(t, f, (1 - t) * f / by.factor);  // the same bits with whatever instructions
    }
  }
}

std::vector<double> yarn_frequencies(double theta, std::int64_t dims, const YarnScaling& by) {
  auto width = static_cast<double>(dims);
  auto dimension = [&](double turns) {
    return width * std::log(by.original / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double low = dimension(by.fast), high = dimension(by.slow);
  if (by.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, width - 1);
  if (low == high) high += 0.001;
  std::vector<double> frequencies = rope_frequencies(theta, dims);
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = std::fma(frequencies[i], 1 - ramp, frequencies[i] / by.factor * ramp);
  }
  return frequencies;
}

double yarn_factor(double factor, double mscale) { return factor > 1 ? 0.1 * mscale * std::log(factor) + 1 : 1; }

std::vector<double> longrope_frequencies(double theta, std::int64_t dims, const std::vector<double>& factors) {
  std::vector<double> frequencies = rope_frequencies(theta, dims);
  for (std::size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= factors.at(i);
  return frequencies;
}

double longrope_factor(double factor, double original) {
  return factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(original));
}

std::vector<double> dynamic_frequencies(double theta, std::int64_t dims, double factor, std::int64_t longest,
                                        std::int64_t tokens) {
  double grown = factor * static_cast<double>(tokens) / static_cast<double>(longest) - (factor - 1);
  return rope_frequencies(theta * std::pow(grown, static_cast<double>(dims) / static_cast<double>(dims - 2)), dims);
}

}  // namespace loragrad
