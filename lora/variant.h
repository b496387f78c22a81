#pragma once
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "lora/adapter.h"
#include "lora/lora_linear.h"

namespace loragrad {

/// A module that a configuration asks for, before it has tensors.
struct ModuleSpec {
  const LoraConfig& config;
  const LinearShape& map;
  std::int64_t rank;
  double scale = 1;

  /// The base's, for a start from it. On a meta device, where the values do not matter, its shape alone. UsageError
  /// where the map has none.
  const Weight& weight() const;
};

/// One of the tensors that each module of a variant has.
struct VariantTensor {
  std::string_view name;              ///< as PEFT's file has it, behind the module's name and a dot: "lora_B.weight"
  Tensor LoraModule::*place;          ///< where a module has it
  Shape (*shape)(const ModuleSpec&);  ///< a vector is one row
  bool is_vector = false;             ///< [n] in the file, [1, n] here
  /// Proves that the module learns: it has a gradient in the first step, which changes it.
  bool proves = false;

  /// As the file has it: [1, n] is [n] for a vector.
  std::vector<std::int64_t> dimensions(const Shape& shape) const {
    return is_vector ? std::vector{shape.cols} : std::vector{shape.rows, shape.cols};
  }
};

/// What initial values are drawn from, and where they are put.
struct InitialDraw {
  DevicePtr device;
  DType dtype = DType::f32;  ///< f32, or f64 with the values of f32
  std::uint64_t seed = 0;    ///< each module has a stream of its own, by its name
};

/// How much of a module counts in a pass, and where.
struct ModuleUse {
  double weight = 1;
  Dropout dropout = {};
  IndexRange tokens = {};
  bool rows_alone = false;  ///< as in a LoraTerm
};

/// block = beta block + change, of the rows from `begin` on of a parameter as it is stored; beta is 0 or 1.
using AddChange = std::function<void(Matrix block, std::int64_t begin, double beta)>;

/// A kind of adapter: what a module of it consists of, computes, and merges into. Stateless; whatever makes, counts,
/// trains, saves, loads or merges modules asks the module's variant.
class LoraVariant {
 public:
  virtual ~LoraVariant() = default;

  /// UsageError where the configuration asks for something that does not go with this variant.
  virtual void check(const LoraConfig&) const {}
  /// Whether its modules are embeddings, whose map is lora_embedding.
  virtual bool of_embedding() const { return false; }
  /// In the order in which they are trained.
  virtual std::span<const VariantTensor> tensors() const = 0;
  /// Puts every tensor in its place, with the values that training starts from. A fresh module changes nothing of what
  /// the base computes.
  virtual void start(LoraModule& module, const ModuleSpec& spec, const InitialDraw& draw) const = 0;
  /// Before passes with a module that nobody trains, beside this weight: what they would compute again each time.
  virtual void prepare(LoraModule&, const Weight&) const {}
  /// Whether a row of a batch may have one such module of a map at most.
  virtual bool is_alone() const { return false; }
  /// The forward: what the module adds to its map.
  virtual void add_to(LoraMap& map, const LoraModule& module, const ModuleUse& use) const = 0;
  /// The map's parameters that merging changes: "weight", "bias".
  virtual std::span<const std::string_view> merged() const = 0;
  /// What merging `weight` times the module adds to one of them, whose values are `base`, computed in `dtype`.
  /// ShapeError where the module does not fit.
  virtual AddChange change(std::string_view parameter, const LoraModule& module, const Weight& base, double weight,
                           DType dtype) const = 0;
};

/// make_adapter, which calls `begins` before each module: a start from a large base takes long, and may be given up by
/// throwing.
Adapter make_adapter(const DevicePtr& device, const LoraConfig& config, const std::vector<LinearShape>& all,
                     std::uint64_t seed, DType dtype, const std::function<void()>& begins);

}  // namespace loragrad
