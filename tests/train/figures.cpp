// What a training step costs, counted: numbers that do not depend on the processor, the GEMM library or the time. They
// are compared with tests/train/figures.txt, so that a change that costs something says so in its diff.

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <sstream>

#include "ops/timed_device.h"
#include "ops/wrapped_device.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "tests/train/support.h"
#include "train/memory_profile.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

constexpr const char* file = "tests/train/figures.txt";

/// The device `like` with kernels that ask for no scratch space and take it from `like` instead: how much they need
/// depends on the processor and the library.
class WithoutScratch final : public WrappedDevice {
 public:
  explicit WithoutScratch(const DevicePtr& like);
  bool has_bf16() const override { return true; }
};

template <auto entry, class Args>
void with_own_scratch(Device& device, const Args& args, void*) {
  Device& like = static_cast<WithoutScratch&>(device).like();
  (like.kernels().*entry)(like, args);
}

constexpr Kernels without_scratch{
#define KERNEL(name, Args) \
  .name = {[](Device&, const Args&) { return std::size_t{0}; }, with_own_scratch<&Kernels::name, Args>},
    LORAGRAD_KERNELS(KERNEL)
#undef KERNEL
};

WithoutScratch::WithoutScratch(const DevicePtr& like) : WrappedDevice(without_scratch, like) {}

using Figures = std::map<std::string, std::int64_t>;

/// A model of a family's golden folder with an adapter on what is adapted by default, and a step of three rows.
class Training {
 public:
  Training(const std::string& family, Precision precision, const DevicePtr& device) : device_(device) {
    model_ = load_model("tests/models/golden/" + family + "/model", device, {.precision = precision});
    LoraConfig config = lora_config(default_targets(model_->config().model_type), 0.1);
    adapter_ = make_adapter(device, config, model_->linear_shapes(), 0);
    passes_.adapters = model_->activate(adapter_);
    for (const auto& [name, tensor] : adapter_.tensors()) trained_.push_back(tensor);
    optimizer_.emplace(trained_, AdamWConfig{});
    for (std::size_t tokens : {5, 8, 3}) {
      Row row;
      for (std::size_t t = 0; t < tokens; ++t) row.input_ids.push_back(static_cast<TokenId>(5 + t));
      row.labels = row.input_ids;
      data_.rows.push_back(row);
    }
    for (const Row& row : data_.rows) rows_.push_back(&row);
  }
  void step() {
    accumulate_gradients(*model_, rows_, passes_);
    Tensor norm = Tensor::empty(device_, {1, 2}, DType::f64);
    clip_gradients(trained_, 1, norm);
    optimizer_->step(1e-3, norm.cols(1, 1));
    for (Tensor& tensor : trained_) tensor.clear_grad();
  }
  MemoryProfile profile() const { return profile_memory(*model_, trained_, rows_, passes_); }
  MemoryMeter& memory() { return device_->memory(); }

 private:
  PassOptions passes_{.rows_at_once = 3};
  DevicePtr device_;
  std::unique_ptr<CausalLm> model_;
  Adapter adapter_;
  std::vector<Tensor> trained_;
  std::optional<AdamW> optimizer_;
  Dataset data_;
  StepRows rows_;
};

Figures figures_of(const std::string& family, Precision precision) {
  Figures found;
  DevicePtr plain = std::make_shared<WithoutScratch>(test_device(2));
  std::map<std::string, std::int64_t> calls;
  DevicePtr timed = timed_device(plain, [&](const KernelCall& call) { ++calls[std::string(call.name)]; });
  Training training(family, precision, timed);
  training.step();  // the optimiser's moments are made

  calls.clear();
  MemoryMeter& memory = training.memory();
  memory.reset_peak();
  std::size_t before = memory.live();
  std::uint64_t allocations = memory.allocations();
  training.step();
  for (const auto& [name, count] : calls) found["calls of " + name] = count;
  found["peak bytes"] = static_cast<std::int64_t>(memory.peak() - before);
  found["device allocations"] = static_cast<std::int64_t>(memory.allocations() - allocations);
  MemoryProfile profile = training.profile();
  for (const auto& op : profile.ops)
    if (op.bytes > 0) found["bytes kept by " + op.name] = static_cast<std::int64_t>(op.bytes);
  found["bytes kept per token and layer"] = static_cast<std::int64_t>(profile.kept()) / profile.tokens / profile.layers;
  return found;
}

Figures found_figures() {
  Figures all;
  for (const char* family : {"gpt2", "llama", "opt"})
    for (Precision precision : {Precision::f32, Precision::bf16})
      for (const auto& [name, value] : figures_of(family, precision))
        all[fmt::format("{} {}: {}", family, precision == Precision::f32 ? "f32" : "bf16", name)] = value;
  return all;
}

std::string text_of(const Figures& figures) {
  std::string text;
  for (const auto& [name, value] : figures) text += fmt::format("{} = {}\n", name, value);
  return text;
}

Figures figures_in(const std::string& text) {
  Figures figures;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::size_t at = line.rfind(" = ");
    REQUIRE(at != std::string::npos);
    figures[line.substr(0, at)] = std::stoll(line.substr(at + 3));
  }
  return figures;
}

/// A line for each figure that differs.
std::string differences(const Figures& expected, const Figures& found) {
  auto text = [](const Figures& figures, const std::string& name) {
    auto at = figures.find(name);
    return at == figures.end() ? std::string("none") : std::to_string(at->second);
  };
  Figures all = expected;
  all.insert(found.begin(), found.end());
  std::string lines;
  for (const auto& [name, any] : all)
    if (text(expected, name) != text(found, name))
      lines += fmt::format("{}: expected {}, found {}\n", name, text(expected, name), text(found, name));
  return lines;
}

}  // namespace

TEST_CASE("a step costs what it did: kernel calls and memory") {
  if (test_device(1)->name() == "cuda") return;  // the figures are a processor's
  Figures found = found_figures();
  if (std::getenv("LORAGRAD_WRITE_FIGURES")) put(file, text_of(found));
  std::string changed = differences(figures_in(get(file)), found);
  CHECK_MESSAGE(changed.empty(), changed, "If that is meant: LORAGRAD_WRITE_FIGURES=1 ./run test train");
}

TEST_CASE("figures that differ are named with both values") {
  CHECK(differences({{"a", 1}, {"b", 2}, {"c", 3}}, {{"a", 1}, {"b", 4}, {"d", 5}}) ==
        "b: expected 2, found 4\nc: expected 3, found none\nd: expected none, found 5\n");
  Figures some{{"llama f32: calls of gemm", 7}, {"opt bf16: peak bytes", 8}};
  CHECK(figures_in(text_of(some)) == some);
}
