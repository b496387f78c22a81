#pragma once
// Threads: one at a time for each device (engine/device.h).
#include <functional>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/parameter.h"
#include "engine/tensor.h"

namespace loragrad {

/// A way to compute a value again from values that are kept anyway (a norm's output from its input, a gated product
/// from gate and up). Everyone who saved the value shares one recipe, so it is computed once in backward and freed
/// with the last.
class Recipe {
 public:
  virtual ~Recipe() = default;
  /// Computed at the first call, kept until every saver has let go of the recipe.
  const Tensor& value() {
    if (!value_.defined()) value_ = compute();
    return value_;
  }

 protected:
  virtual Tensor compute() = 0;

 private:
  Tensor value_;
};

/// A value kept for backward: the tensor itself, or its recipe. Knows the version it was saved at.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor);
  /// The value as it was; UsageError naming `op` when it was changed in place in between.
  Tensor get(std::string_view op) const;
  bool defined() const { return tensor_.defined() || recipe_; }
  /// What is kept; undefined for a recipe.
  const Tensor& tensor() const { return tensor_; }
  /// Bytes this keeps alive; a recipe keeps none of its own.
  std::size_t bytes() const { return tensor_.defined() ? tensor_.bytes() : 0; }

 private:
  Tensor tensor_;
  std::shared_ptr<Recipe> recipe_;
  std::uint64_t version_ = 0;
};

/// A parameter kept for backward, which counts as no activation.
class SavedParameter {
 public:
  SavedParameter() = default;
  explicit SavedParameter(const Parameter& parameter)
      : weight_(parameter.weight()), tensor_(parameter.tensor().detach()), version_(tensor_.version()) {}
  const Weight& weight() const { return weight_; }
  /// UsageError naming `op` when a trained one was changed in place in between.
  WeightView view(std::string_view op) const;

 private:
  Weight weight_;
  Tensor tensor_;
  std::uint64_t version_ = 0;
};

/// Where a node's backward puts the gradients of its inputs. Inputs that are used several times get one buffer that all
/// uses add to; a view's gradient is written into its part of the buffer of what it is a view of.
class GradSink {
 public:
  explicit GradSink(Node& node) : node_(node) {}
  bool needs(std::size_t input) const;
  /// The buffer to write and the beta to write it with: 0 the first time, 1 when something is there already.
  struct Into {
    Matrix matrix;
    double beta;
  };
  Into into(std::size_t input);
  /// The same; the first time `spare`, which this backward reads no more but at the place it writes, becomes the buffer
  /// where it fits and nobody else holds it. Less memory is touched then.
  Into into(std::size_t input, const Tensor& spare);
  /// Adds a finished gradient; the first one is taken over without a copy, converted when the dtypes differ.
  void pass(std::size_t input, const Tensor& gradient);

 private:
  struct Slot;
  Slot slot(std::size_t input);  // where the input's gradient is collected
  Node& node_;
};

/// One operation on the tape, with one output. Exists only if an input needs a gradient.
class Node {
 public:
  virtual ~Node();
  virtual std::string_view name() const = 0;
  /// From the output's gradient `dy`, adds the gradients of the inputs for which sink.needs(i) to the sink.
  virtual void backward(const Tensor& dy, GradSink& sink) = 0;
  /// Bytes kept for backward, recipes not counted.
  std::size_t saved_bytes() const;
  /// Calls `visit` for every tensor kept for backward, recipes left out. Several nodes may keep one storage.
  void for_each_saved(const std::function<void(const Tensor&)>& visit) const;
  /// The nodes of the inputs, null where an input is a leaf.
  std::vector<const Node*> input_nodes() const;

 protected:
  /// The inputs in the order of the sink's indices.
  void set_inputs(const std::vector<Tensor>& inputs);
  /// Keeps a value until this node's backward has run; `saved(slot)` gives it back.
  std::size_t save(const Tensor& tensor);
  Tensor saved(std::size_t slot) const { return saved_.at(slot).get(name()); }
  /// The same, and lets go of it: for backward alone.
  Tensor take_saved(std::size_t slot);

 private:
  friend class GradSink;
  friend class Tape;
  struct Edge {
    std::shared_ptr<Node> node;        // the input's producer, or
    std::shared_ptr<TensorImpl> leaf;  // the trainable leaf; neither: no gradient is needed
    Shape shape;                       // of that one's value
    Region part;                       // of it, which is the input
    DType dtype = DType::f32;
    DevicePtr device;
  };
  Tensor take_dy();  // what was collected; zero where nothing came
  void release();    // frees all that was kept: once backward has run

  std::vector<Edge> edges_;
  std::vector<Saved> saved_;
  Tensor dy_;                   // gradient of the output, while backward collects it,
  std::vector<Region> unset_;   // but for the parts that no view's consumer has written yet
  std::int64_t consumers_ = 0;  // not yet run, while backward runs
  bool released_ = false;
};

/// True if any of them needs a gradient: whether an op has to record a node.
bool needs_grad(std::initializer_list<const Tensor*> tensors);

/// Makes `node` the past of `y` and returns y.
Tensor attach(Tensor y, std::shared_ptr<Node> node);

}  // namespace loragrad
