#include "train/memory_profile.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "engine/backward.h"

namespace loragrad {
namespace {

using Storages = std::unordered_set<const Storage*>;

Storages storages_of(const std::vector<Tensor>& tensors) {
  Storages storages;
  for (const Tensor& tensor : tensors) storages.insert(tensor.impl()->storage.get());
  return storages;
}

/// What the nodes of a graph keep, parameters left out; followed while backward lets go of it.
class Kept {
 public:
  Kept(const Tensor& loss, const std::vector<Tensor>& trained) {
    Storages parameters = storages_of(trained);
    for_each_node(loss, [&](const Node& node) {
      order_.push_back(&node);
      node.for_each_saved([&](const Tensor& tensor) {
        const Storage* storage = tensor.impl()->storage.get();
        if (parameters.count(storage) || !held_[&node].insert(storage).second) return;
        auto [at, first] = owners_.try_emplace(storage, Owners{0, storage->bytes});
        ++at->second.nodes;
        if (first) bytes_ += storage->bytes;
      });
    });
  }

  std::size_t bytes() const { return bytes_; }

  /// `node` has run backward. It may be gone: its address is all that is used.
  void release(const Node* node) {
    for (const Storage* storage : held_[node]) {
      Owners& owners = owners_.at(storage);
      if (--owners.nodes == 0) bytes_ -= owners.bytes;
    }
  }

  /// By the nodes' names. What several nodes share counts for the first of them in the forward pass.
  std::vector<MemoryProfile::Op> ops() const {
    std::vector<MemoryProfile::Op> ops;
    Storages counted;
    for (auto at = order_.rbegin(); at != order_.rend(); ++at) {
      std::string_view name = (*at)->name();
      auto op = std::find_if(ops.begin(), ops.end(), [&](const auto& other) { return other.name == name; });
      if (op == ops.end()) op = ops.insert(op, {std::string(name), 0, 0});
      ++op->nodes;
      if (auto held = held_.find(*at); held != held_.end())
        for (const Storage* storage : held->second)
          if (counted.insert(storage).second) op->bytes += storage->bytes;
    }
    std::stable_sort(ops.begin(), ops.end(), [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
    return ops;
  }

 private:
  struct Owners {
    std::int64_t nodes;
    std::size_t bytes;
  };
  std::vector<const Node*> order_;  // from the loss on
  std::unordered_map<const Node*, Storages> held_;
  std::unordered_map<const Storage*, Owners> owners_;
  std::size_t bytes_ = 0;
};

std::size_t gradient_bytes(const std::vector<Tensor>& trained) {
  std::size_t bytes = 0;
  for (const Tensor& tensor : trained)
    if (tensor.grad().defined()) bytes += tensor.grad().bytes();
  return bytes;
}

}  // namespace

std::size_t MemoryProfile::kept() const {
  std::size_t bytes = other;
  for (const Op& op : ops) bytes += op.bytes;
  return bytes;
}

MemoryProfile profile_memory(const CausalLm& model, std::vector<Tensor> trained, const StepRows& step,
                             const PassOptions& options) {
  MemoryMeter& meter = model.device()->memory();
  std::vector<std::size_t> ends = micro_batches(step, options.rows_at_once, options.tokens_at_once);
  std::size_t always = meter.live(), begin = ends.size() > 1 ? ends[ends.size() - 2] : 0;
  if (begin > 0)
    accumulate_gradients(model, {step.begin(), step.begin() + static_cast<std::ptrdiff_t>(begin)}, options);

  MemoryProfile profile;
  meter.reset_peak();
  std::size_t before = meter.live();
  {
    Batch batch = batch_of(model, step, begin, step.size());
    profile.rows = static_cast<std::int64_t>(step.size() - begin);
    profile.tokens = batch.tokens;
    profile.layers = model.config().num_hidden_layers;
    Tensor loss = model.loss(training_pass(batch, options), 1).loss;
    Kept kept(loss, trained);
    profile.ops = kept.ops();
    profile.other = meter.live() - before - kept.bytes();

    std::size_t peak = 0;
    auto look = [&](const std::string& place) {
      if (meter.peak() <= peak) return;
      peak = meter.peak();
      profile.peak_in = place;
      profile.peak_gradients = gradient_bytes(trained);
      profile.peak_kept = kept.bytes();
    };
    look("the forward pass");
    const Node* running = nullptr;
    std::string place;
    auto after_node = [&] {
      if (!running) return;
      look(place);
      kept.release(running);
    };
    backward(loss, {}, [&](const Node& node) {
      after_node();
      running = &node;
      place = "the backward of " + std::string(node.name());
    });
    after_node();
    profile.peak_scratch = peak - always - profile.peak_gradients - profile.peak_kept;
  }
  for (Tensor& tensor : trained) tensor.clear_grad();
  return profile;
}

}  // namespace loragrad
