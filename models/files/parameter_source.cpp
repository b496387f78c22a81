#include "models/files/parameter_source.h"

#include <cmath>

#include "engine/random.h"

namespace loragrad {

LinearLayer ParameterSource::linear(const std::string& name, std::int64_t in, std::int64_t out, bool bias, Start start,
                                    WeightLayout layout) {
  Shape shape = layout == WeightLayout::out_in ? Shape{out, in} : Shape{in, out};
  ParameterSlot w = matrix(name + ".weight", shape, layout, start);
  return LinearLayer(in_model(name), w, bias ? vector(name + ".bias", out, Start::zero) : nullptr);
}

LayerNorm ParameterSource::layer_norm(const std::string& name, std::int64_t n, double eps) {
  ParameterSlot weight = vector(name + ".weight", n, Start::one);
  return {weight, vector(name + ".bias", n, Start::zero), eps};
}

RmsNorm ParameterSource::rms_norm(const std::string& name, std::int64_t n, double eps, double offset) {
  return {vector(name + ".weight", n, offset == 0 ? Start::one : Start::zero), eps, offset};
}

namespace {

class FreshSource final : public ParameterSource {
 public:
  FreshSource(DevicePtr device, std::uint64_t seed, std::int64_t layers)
      : device_(std::move(device)), seed_(seed), layers_(layers) {}

  ParameterSlot matrix(const std::string& name, Shape shape, WeightLayout layout, Start start) override {
    return keep(name, {fresh(name, shape, start), layout});
  }
  ParameterSlot vector(const std::string& name, std::int64_t n, Start start) override {
    return keep(name, fresh(name, {1, n}, start));
  }
  ParameterSlot table(const std::string& name, Shape shape, bool) override {
    return matrix(name, shape, WeightLayout::out_in, Start::matrix);
  }
  ParameterSlot head(Shape shape, const EmbeddingLayer& embedding, bool tied) override {
    return tied ? embedding.table() : matrix(head_name, shape, WeightLayout::out_in, Start::matrix);
  }

 private:
  Tensor fresh(const std::string& name, Shape shape, Start start) {
    std::vector<float> values(device_->is_meta() ? 0 : static_cast<std::size_t>(shape.numel()),
                              start == Start::one ? 1.f : 0.f);
    double deviation = start == Start::residual_matrix ? 0.02 / std::sqrt(2.0 * static_cast<double>(layers_)) : 0.02;
    if (start == Start::matrix || start == Start::residual_matrix) {
      Random random(seed_, hash_name(name.data(), name.size()));
      for (float& value : values) value = static_cast<float>(random.normal() * deviation);
    }
    Tensor tensor = Tensor::from(device_, shape, std::move(values));
    return tensor.set_trainable();
  }

  DevicePtr device_;
  std::uint64_t seed_;
  std::int64_t layers_;
};

}  // namespace

std::unique_ptr<ParameterSource> fresh_source(const DevicePtr& device, std::uint64_t seed, std::int64_t layers) {
  return std::make_unique<FreshSource>(device, seed, layers);
}

}  // namespace loragrad
