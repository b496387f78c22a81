#pragma once
#include "engine/node.h"
#include "lora/lora_up.h"
#include "ops/gemm.h"

namespace loragrad {

/// The terms of a map on the tape. Base is the map's own node, whose last inputs are those of all terms, four each: h, B,
/// B's bias, m.
template <class Base>
class LoraUpNode : public Base {
 protected:
  struct Term {
    double scale;
    IndexRange tokens;
    std::size_t input_h;  // the first of its inputs
    std::size_t b, h;
    // Beside a magnitude:
    bool rescales = false;
    double weight = 1;
    Dropout dropout = {};
    std::size_t factor = 0, inverse = 0, e = 0;

    std::int64_t count() const { return tokens.end - tokens.begin; }
    template <class M>
    M part(const M& matrix) const {
      return row_range(matrix, tokens.begin, count());
    }
  };

  /// `first_input` of the terms'; Base is made of `own` and their inputs.
  template <class... Own>
  LoraUpNode(std::size_t first_input, const LoraMap& map, const std::vector<FormedTerm>& formed, const Own&... own)
      : Base(own..., inputs_of(map, formed)) {
    for (std::size_t i = 0; i < formed.size(); ++i) {
      const FormedTerm& f = formed[i];
      Term& term = terms_.emplace_back(Term{f.scale, f.tokens, first_input + 4 * i, this->save(f.b),
                                            map.terms[i].b.needs_grad() ? this->save(f.h) : 0});
      if (!f.magnitude.defined()) continue;
      term.rescales = true;
      term.weight = f.magnitude.weight;
      term.dropout = f.magnitude.dropout;
      term.factor = this->save(f.magnitude.factors.factor);
      if (!f.e.defined()) continue;
      term.inverse = this->save(f.magnitude.factors.inverse);
      term.e = this->save(f.e);
    }
  }

  const std::vector<Term>& terms() const { return terms_; }

  /// y = (weight c + offset) ∘ x of a term's magnitude, or of its part of x
  void scale_by_magnitude(const Term& term, const ConstMatrix& x, double weight, double offset, Matrix y) const {
    Tensor factor = this->saved(term.factor);
    scale_columns(*factor.device(), x, factor, weight, offset, y);
  }

  /// dm = weight colsum(dy ∘ e) / n
  void backward_magnitude(const Term& term, const Tensor& dy, GradSink& sink) {
    std::size_t input_m = term.input_h + 3;
    if (!sink.needs(input_m)) return;
    Device& device = *dy.device();
    Tensor sums = Tensor::zeros(dy.device(), {1, dy.cols()}, accumulation_type(dy.dtype()));
    device.kernels().column_dot(
        device, {.a = term.part(dy.matrix()), .b = this->saved(term.e).matrix(), .out = sums.mutable_matrix()});
    auto dm = sink.into(input_m);
    device.kernels().scale_each(device, {.x = sums.matrix(),
                                         .factors = this->saved(term.inverse).matrix(),
                                         .alpha = term.weight,
                                         .y = dm.matrix,
                                         .beta = dm.beta});
  }

  /// Of h, B and its bias. dy_part: of what the term is multiplied to, for its tokens.
  void backward_product(const Term& term, const ConstMatrix& dy_part, GradSink& sink) {
    DevicePtr on = this->saved(term.b).device();
    Device& device = *on;
    std::size_t input_b = term.input_h + 1, input_b_bias = term.input_h + 2;
    if (sink.needs(input_b)) {  // dB = s dyᵀ h
      auto db = sink.into(input_b);
      gemm(device, {.c = db.matrix,
                    .a = dy_part,
                    .b = this->saved(term.h).matrix(),
                    .transpose_a = true,
                    .alpha = term.scale,
                    .beta = db.beta});
    }
    if (sink.needs(term.input_h)) {  // dh = s dy B
      auto dh = sink.into(term.input_h);
      gemm(device,
           {.c = dh.matrix, .a = dy_part, .b = this->saved(term.b).matrix(), .alpha = term.scale, .beta = dh.beta});
    }
    if (sink.needs(input_b_bias)) {  // db = s times the column sums of dy
      Tensor sums = Tensor::zeros(on, {1, dy_part.cols}, accumulation_type(dy_part.dtype));
      device.kernels().column_sum(device, {dy_part, sums.mutable_matrix()});
      auto db = sink.into(input_b_bias);
      device.kernels().accumulate(device, {sums.matrix(), term.scale, db.matrix, db.beta});
    }
  }

 private:
  static std::vector<Tensor> inputs_of(const LoraMap& map, const std::vector<FormedTerm>& formed) {
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < formed.size(); ++i)
      inputs.insert(inputs.end(), {formed[i].h, map.terms[i].b, map.terms[i].b_bias, map.terms[i].magnitude.m});
    return inputs;
  }

  std::vector<Term> terms_;
};

}  // namespace loragrad
