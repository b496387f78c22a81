#include "engine/placement.h"

#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "engine/error.h"
#include "engine/random.h"
#include "engine/tensor.h"
#include "ops/meta_device.h"
#include "tests/device/test_device.h"

using namespace loragrad;

TEST_CASE("blocks go to the smallest gap that holds them, else to the end") {
  Placement place(1 << 20);
  std::size_t a = place.take(640), b = place.take(64), c = place.take(128), d = place.take(1);
  CHECK(std::vector<std::size_t>{a, b, c, d} == std::vector<std::size_t>{0, 640, 704, 832});
  place.give_back(a, 640);
  place.give_back(c, 128);
  CHECK(place.take(100) == c);
  CHECK(place.take(100) == a);
  CHECK(place.take(600) == 896);
  CHECK(place.highest() == 896 + 640);
}

TEST_CASE("neighbouring gaps become one, and the last one lowers the end but not the highest") {
  Placement place(1 << 20);
  std::size_t a = place.take(64), b = place.take(64), c = place.take(64), d = place.take(64);
  place.give_back(b, 64);
  place.give_back(c, 64);
  CHECK(place.take(128) == b);
  place.give_back(b, 128);
  place.give_back(a, 64);
  CHECK(place.take(192) == a);
  place.give_back(d, 64);
  place.give_back(a, 192);
  CHECK(place.take(320) == 0);
  CHECK(place.highest() == 320);
}

TEST_CASE("a block beyond the limit is refused, and nothing is lost by it") {
  Placement place(256);
  std::size_t a = place.take(192);
  CHECK_THROWS_AS(place.take(128), IoError);
  place.give_back(a, 192);
  CHECK(place.take(256) == 0);
}

TEST_CASE("blocks never overlap, and all gaps close in the end") {
  Placement place(1 << 30);
  Random random(3, 0);
  std::map<std::size_t, std::size_t> live;  // offset, bytes
  for (int i = 0; i < 20'000; ++i) {
    if (live.empty() || random.below(5) < 3) {
      std::size_t bytes = 1 + random.below(5000), offset = place.take(bytes);
      auto next = live.lower_bound(offset);
      REQUIRE((next == live.end() || offset + bytes <= next->first));
      if (next != live.begin()) REQUIRE(std::prev(next)->first + std::prev(next)->second <= offset);
      live[offset] = bytes;
    } else {
      auto any = live.lower_bound(random.below(place.highest()));
      if (any == live.end()) any = live.begin();
      place.give_back(any->first, any->second);
      live.erase(any);
    }
  }
  for (auto& [offset, bytes] : live) place.give_back(offset, bytes);
  CHECK(place.take(1 << 29) == 0);
}

TEST_CASE("the meta device's memory reaches as far as the processor's") {
  DevicePtr cpu = test_device(1), meta = meta_device(cpu);
  auto run = [](const DevicePtr& device) {
    Random random(7, 0);
    std::vector<Tensor> live(20);
    for (int i = 0; i < 500; ++i)
      live[random.below(20)] = Tensor::empty(device, {1 + static_cast<std::int64_t>(random.below(300)), 7}, DType::f32);
    return device->footprint();
  };
  CHECK(run(meta) == run(cpu));
  CHECK(cpu->footprint() > cpu->memory().peak());
}
