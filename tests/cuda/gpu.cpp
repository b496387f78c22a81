// The GPU as a device: its memory, and how bytes come in.
#include <doctest/doctest.h>

#include <cstring>
#include <fstream>

#include "engine/error.h"
#include "engine/place.h"
#include "io/mapped_file.h"
#include "tests/cuda_emulation/emulated_device.h"
#include "tests/cuda_emulation/memory.h"
#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

std::vector<float> numbers(std::size_t count, float first) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = first + static_cast<float>(i % 1000);
  return values;
}

}  // namespace

TEST_CASE("a GPU's memory grows under tensors that stay where they are") {
  DevicePtr device = emulated_device(false);
  std::vector<Tensor> tensors;
  std::size_t before = device->footprint();
  for (int i = 0; i < 6; ++i)
    tensors.push_back(Tensor::from(device, {300, 1000}, numbers(300'000, static_cast<float>(i))));
  CHECK(device->footprint() >= before + 6 * 1'200'000);
  CHECK(device->footprint() <= before + 6 * 1'200'000 + (4 << 20));
  for (int i = 0; i < 6; ++i)
    CHECK(tensors[static_cast<std::size_t>(i)].values<float>() == numbers(300'000, static_cast<float>(i)));
  std::size_t reached = device->footprint();
  tensors.clear();
  Tensor again = Tensor::zeros(device, {300, 1000}, DType::f32);
  CHECK(device->footprint() == reached);
}

TEST_CASE("a GPU without memory for a tensor says how much there is") {
  DevicePtr device = emulated_device(false);
  CHECK_THROWS_WITH_AS(Tensor::empty(device, {1 << 20, 1 << 20}, DType::f32),
                       doctest::Contains("cuda: out of memory: expected 4398046511104 bytes more, found "), IoError);
  CHECK(Tensor::from(device, {1, 2}, std::vector<float>{1, 2}).values<float>()[1] == 2);
}

TEST_CASE("uploads reach a GPU in the order of the calls, whatever their size") {
  DevicePtr device = emulated_device(false);
  // More than the ring of pinned memory holds.
  std::vector<Tensor> small;
  for (int i = 0; i < 40; ++i)
    small.push_back(Tensor::from(device, {1, 50'000}, numbers(50'000, static_cast<float>(i))));
  for (int i = 0; i < 40; ++i)
    CHECK(small[static_cast<std::size_t>(i)].values<float>() == numbers(50'000, static_cast<float>(i)));
  // Over what a kernel has yet to read.
  Tensor x = Tensor::from(device, {1000, 1000}, numbers(1'000'000, 1)), y = x.to(DType::f64);
  x.set_values(numbers(1'000'000, 2));
  Tensor z = x.to(DType::f64);
  CHECK(y.values<double>()[999'999] == 1000);
  CHECK(z.values<double>()[999'999] == 1001);
}

TEST_CASE("weights reach a GPU from their file, at any offset, and in another type where that is wanted") {
  TempFolder folder;
  std::vector<float> values = numbers(5'000'000, 3);  // more than two pieces
  std::string content(3, 'x');
  content.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  put(folder / "weights", content);
  auto file = MappedFile::open(folder / "weights");
  DevicePtr device = emulated_device(false);
  HostBytes bytes{file->data() + 3, values.size() * sizeof(float), file, file->descriptor(), 3};
  Weight same = place(device, bytes, DType::f32, {5000, 1000}, DType::f32),
         half = place(device, bytes, DType::f32, {5000, 1000}, DType::bf16);
  CHECK(same.to_tensor(DType::f32).values<float>() == values);
  CHECK(half.bytes() == 10'000'000);
  CHECK(half.to_tensor(DType::f32).values<float>()[0] == 3);
  // Without a file.
  auto kept = std::make_shared<std::vector<float>>(values);
  HostBytes memory{kept->data(), kept->size() * sizeof(float), kept};
  CHECK(place(device, memory, DType::f32, {5000, 1000}, DType::f32).to_tensor(DType::f32).values<float>() == values);
  // A file that was cut short is an error, not a signal.
  std::filesystem::resize_file(folder / "weights", 1 << 20);
  CHECK_THROWS_WITH_AS(place(device, bytes, DType::f32, {5000, 1000}, DType::bf16),
                       "weights: cannot read: the file was cut short while it was in use", IoError);
}

TEST_CASE("a GPU's warm step takes no memory from the driver, waits once, and two runs are equal, bit for bit") {
  TinyModel folder;
  std::vector<std::vector<double>> losses;
  for (int run = 0; run < 2; ++run) {
    DevicePtr device = emulated_device(false);
    std::unique_ptr<CausalLm> model = load_model(folder.path(), device);
    Adapter adapter = tiny_adapter(*model, {"q_proj", "v_proj"}, 0.1);
    std::vector<std::size_t> allocations;
    std::vector<std::uint64_t> waits;
    TrainObserver observer;
    losses.emplace_back();
    observer.on_step = [&](const StepReport& step) {
      losses.back().push_back(step.loss);
      allocations.push_back(cuda_emulation::allocations());
      waits.push_back(device->waits());
    };
    train(*model, &adapter, tiny_data(6), {.batch_size = 3, .steps = 4, .shuffle = false}, nullptr, observer);
    REQUIRE(allocations.size() == 4);
    CHECK(allocations[3] == allocations[1]);
    CHECK(waits[3] - waits[2] == 1);
  }
  CHECK(losses[0] == losses[1]);
}
