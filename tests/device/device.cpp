// The devices of the tests, and what Device promises.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>

#include "engine/backward.h"
#include "engine/error.h"
#include "engine/place.h"
#include "ops/cpu/cpu_device.h"
#include "ops/linear.h"
#include "ops/meta_device.h"
#include "tests/device/walled_device.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// What a child process that does it writes to stderr; the signal that ended it in *signal, 0 for none.
template <class Action>
std::string stderr_of(Action action, int* ended_by) {
  TempFolder folder;
  std::string path = folder / "stderr";
  pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    ::dup2(::open(path.c_str(), O_CREAT | O_WRONLY, 0600), STDERR_FILENO);
    action();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  *ended_by = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return get(path);
}

std::shared_ptr<const void> nothing() { return std::make_shared<int>(); }

}  // namespace

TEST_CASE("host access to a walled device's memory is a crash that names the place") {
  DevicePtr device = walled_device(2);
  Tensor x = Tensor::from(device, {3, 700}, std::vector<float>(2100, 2));
  CHECK(x.values<float>()[2099] == 2);
  const float* read = x.data<float>() + 4;
  float* written = x.mutable_data<float>();
  for (int which : {0, 1}) {
    int signal = 0;
    std::string text = stderr_of(
        [&] {
          // A kernel first: it opens and closes.
          Tensor y = x.to(DType::f64);
          if (which)
            *const_cast<volatile float*>(written) = 1;
          else
            (void)*const_cast<volatile const float*>(read);
        },
        &signal);
    CHECK(signal == SIGSEGV);
    CHECK(
        contains(text, "walled device: host access to the device's memory outside a kernel, an upload or a download"));
    CHECK(contains(text, which ? "at byte 0x0; called" : "at byte 0x10; called"));
    CHECK(contains(text, "test_device"));
  }
}

TEST_CASE("a system call on a walled device's memory fails with EFAULT") {
  Tensor x = Tensor::from(walled_device(1), {1, 4}, std::vector<float>(4, 2));
  CHECK(x.values<float>()[3] == 2);
  TempFolder folder;
  int file = ::open((folder / "file").c_str(), O_CREAT | O_WRONLY, 0600);
  errno = 0;
  CHECK(::write(file, x.data<float>(), 16) == -1);
  CHECK(errno == EFAULT);
  ::close(file);
}

TEST_CASE("a walled device reads an upload's bytes at the next kernel or download, in the order of the calls") {
  for (bool kernel : {false, true}) {
    CAPTURE(kernel);
    DevicePtr device = walled_device(1);
    Tensor x = Tensor::empty(device, {1, 2}, DType::f32);
    float values[] = {1, 2};
    device->upload(x.mutable_data<float>(), {values, sizeof values, nothing()});
    values[0] = 5;
    if (kernel) {
      Tensor y = x.to(DType::f64);
      values[0] = 7;
      CHECK(y.values<double>() == std::vector<double>{5, 2});
    }
    CHECK(x.values<float>() == std::vector<float>{5, 2});
    values[1] = 9;
    CHECK(x.values<float>() == std::vector<float>{5, 2});
  }
}

TEST_CASE("uploads of tensors own what they read") {
  DevicePtr device = walled_device(1);
  std::vector<float> values{1, 2};
  Tensor x = Tensor::from(device, {1, 2}, values.data());
  values.assign({8, 9});
  CHECK(x.values<float>() == std::vector<float>{1, 2});
  x.set_values(std::vector<float>{3, 4});
  x.fill(6);
  CHECK(x.values<float>() == std::vector<float>{6, 6});
  CHECK_THROWS_WITH_AS(x.set_values(std::vector<float>{3}), "tensor: [1, 2]: expected 2 values, found 1", ShapeError);
  CHECK_THROWS_AS(x.set_values(std::vector<double>{3, 4}), UsageError);
}

TEST_CASE("a walled device's kernels are given its own memory alone") {
  DevicePtr device = walled_device(1);
  Tensor x = Tensor::zeros(device, {1, 2}, DType::f32);
  float values[] = {1, 2};
  CHECK_THROWS_WITH_AS(
      device->kernels().accumulate(*device, {ConstMatrix{values, DType::f32, 1, 2, 2}, 1, x.mutable_matrix(), 0}),
      "walled device: expected an address in the device's memory, found one in the host's", UsageError);
  CHECK_THROWS_AS(device->upload(x.mutable_data<float>(), {values, sizeof values, nullptr}), UsageError);
  Tensor other = Tensor::zeros(walled_device(1), {1, 2}, DType::f32);
  CHECK_THROWS_AS(device->kernels().accumulate(*device, {other.matrix(), 1, x.mutable_matrix(), 0}), UsageError);
  CHECK(x.values<float>() == std::vector<float>{0, 0});
}

TEST_CASE("only downloads wait, and are counted") {
  for (const DevicePtr& device : {cpu_device(1), walled_device(1)}) {
    Tensor x = Tensor::from(device, {2, 1}, std::vector<float>{3, 4}), y = x.to(DType::f64);
    CHECK(device->waits() == 0);
    y.values<double>();
    CHECK(device->waits() == 1);
    CHECK(y.rows(1, 1).item() == 4);
    CHECK(x.rows(0, 1).item() == 3);
    CHECK(x.rows(0, 1).to(DType::bf16).item() == 3);
    CHECK(device->waits() == 4);
    Tensor::empty(device, {0, 1}, DType::f32).values<float>();
    CHECK(device->waits() == 4);
    CHECK_THROWS_AS(x.item(), ShapeError);
  }
}

TEST_CASE("a weight is the file's bytes on a device that shares the host's memory, elsewhere a copy") {
  auto bytes = std::make_shared<std::vector<std::byte>>(1 + 6 * sizeof(float));
  std::vector<float> values{1, 2, 3, 4, 5, 6};
  std::memcpy(bytes->data() + 1, values.data(), bytes->size() - 1);  // misaligned
  HostBytes file{bytes->data() + 1, bytes->size() - 1, bytes};
  for (const DevicePtr& device : {cpu_device(1), walled_device(1)}) {
    bool shared = device->shares_host_memory();
    Weight same = place(device, file, DType::f32, {2, 3}, DType::f32),
           wide = place(device, file, DType::f32, {3, 2}, DType::f64, WeightLayout::in_out);
    CHECK((same.view().data == file.data) == shared);
    // A copy in the type of the file does not stay beside the one that was converted.
    CHECK(device->memory().live() == (shared ? 0 : 24) + 48);
    CHECK(same.to_tensor(DType::f32).values<float>() == values);
    CHECK(wide.to_tensor(DType::f32).values<float>() == values);
    CHECK(wide.layout() == WeightLayout::in_out);
    HostBytes back = same.on_host();
    CHECK(back.size == file.size);
    CHECK(std::memcmp(back.data, file.data, file.size) == 0);
    CHECK((back.data == file.data) == shared);
    CHECK_THROWS_WITH_AS(place(device, file, DType::f32, {2, 2}, DType::f32),
                         "weight: expected 16 bytes for [2, 2] f32, found 24", ShapeError);
    DevicePtr meta = meta_device(device);
    Weight outline = place(meta, file, DType::f32, {2, 3}, DType::f32);
    CHECK(outline.view().data == nullptr);
    CHECK(meta->memory().live() == (shared ? 0 : 24));
  }
  CHECK(bytes.use_count() == 2);
}

TEST_CASE("rows that lie apart reach the host one behind the other") {
  Tensor x = Tensor::from(walled_device(1), {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  HostBytes host = Weight(x.cols(1, 2)).on_host();
  CHECK(host.size == 16);
  CHECK(static_cast<const float*>(host.data)[2] == 5);
}

TEST_CASE("a planning device answers as a processor of so many threads does, and runs nothing") {
  DevicePtr planning = planning_device(3), real = cpu_device(3);
  RunSize run{.batch_shapes = 3, .longest = 1000, .products = DType::f32};
  CHECK(planning->run_bytes(run) == real->run_bytes(run));
  CHECK(planning_device(4)->run_bytes(run) - real->run_bytes(run) == 1000 * (256 + 192) * 4);
  CHECK(meta_device(walled_device(3))->run_bytes(run) == real->run_bytes(run));
  CHECK(real->run_bytes({.batch_shapes = 1}) >= 10 << 20);
  CHECK_THROWS_AS(planning->allocate(64), UsageError);
  Tensor a = Tensor::zeros(meta_device(planning), {600, 600}, DType::f32),
         b = Tensor::zeros(meta_device(real), {600, 600}, DType::f32);
  for (const Tensor& x : {a, b}) linear(x, Weight(x), Weight());
  CHECK(a.device()->memory().peak() == b.device()->memory().peak());
}
