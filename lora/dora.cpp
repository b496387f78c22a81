#include <string>

#include "engine/error.h"
#include "lora/magnitude.h"
#include "lora/plain_lora.h"

namespace loragrad {
namespace {

/// W' = diag(m / n) (W + s B A), n the lengths of the rows of W + s B A. m starts as those of W, which B = 0 leaves.
/// Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation". Of a linear map, or of an embedding, whose rows are
/// the table's columns.
template <class Factors>
class Dora final : public Factors {
 public:
  void check(const LoraConfig& config) const override {
    Factors::check(config);
    if (config.lora_bias) throw UsageError("lora_bias: expected false beside use_dora, found true");  // as PEFT does
    if (changes_base(config.init_lora_weights))
      throw UsageError("init_lora_weights: expected one that leaves the base as it is beside use_dora, found \"" +
                       std::string(name_of(config.init_lora_weights)) + '"');
  }

  std::span<const VariantTensor> tensors() const override {
    static const std::vector<VariantTensor> list =
        this->with_vector(Factors::tensors(), "lora_magnitude_vector", &LoraModule::magnitude);
    return list;
  }

  void start(LoraModule& module, const ModuleSpec& spec, const InitialDraw& draw) const override {
    Factors::start(module, spec, draw);
    const Weight& w = spec.weight();
    // A base that is an outline has no lengths.
    module.magnitude = w.device()->is_meta() ? Tensor::zeros(draw.device, {1, spec.map.out}, DType::f32) : row_norms(w);
    if (draw.dtype != DType::f32) module.magnitude = module.magnitude.to(draw.dtype);
  }

  void prepare(LoraModule& module, const Weight& w) const override {
    module.norm = row_norms(w, module.a, module.b, module.scale);
  }
  bool is_alone() const override { return true; }

  void add_to(LoraMap& map, const LoraModule& module, const ModuleUse& use) const override {
    Factors::add_to(map, module, use);
    LoraTerm& term = map.terms.back();
    term.scale = module.scale;
    term.magnitude = {module.magnitude, use.weight, module.norm};
  }

  /// weight (diag(c) (W + s B A) - W), c = m / n
  AddChange change(std::string_view parameter, const LoraModule& module, const Weight& base, double weight,
                   DType dtype) const override {
    Factors::change(parameter, module, base, weight, dtype);  // whose checks come first
    if (module.magnitude.shape() != Shape{1, base.out_features()})
      throw ShapeError("merge: " + module.name + ": lora_magnitude_vector " + module.magnitude.shape().text() +
                       " does not fit a weight of out = " + std::to_string(base.out_features()));
    Tensor norm = row_norms(base, module.a.detach(), module.b.detach(), module.scale);
    Tensor c = magnitude_factors(module.magnitude.detach(), norm).factor;
    LoraModule plain = module;
    plain.b = Tensor::empty(base.device(), module.b.shape(), module.b.dtype());
    base.device()->kernels().scale_each(
        *base.device(), {.x = module.b.matrix(), .factors = c.matrix(), .by_row = true, .y = plain.b.mutable_matrix()});
    return [product = Factors::change(parameter, plain, base, weight, dtype), base, c, weight](
               Matrix block, std::int64_t begin, double beta) {
      bool by_row = base.layout() == WeightLayout::out_in;
      ConstMatrix factors = c.matrix();
      base.device()->kernels().scale_each(*base.device(),
                                          {.x = row_range(base.view(), begin, block.rows),
                                           .factors = by_row ? column_range(factors, begin, block.rows) : factors,
                                           .by_row = by_row,
                                           .alpha = weight,
                                           .offset = -weight,
                                           .y = block,
                                           .beta = beta});
      product(block, begin, 1);
    };
  }
};

}  // namespace

const LoraVariant& dora() {
  static const Dora<PlainLora> variant;
  return variant;
}

const LoraVariant& embedding_dora() {
  static const Dora<EmbeddingLora> variant;
  return variant;
}

}  // namespace loragrad
