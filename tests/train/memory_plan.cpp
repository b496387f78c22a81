#include "train/memory_plan.h"

#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// A run of 100 bytes, 100 for each row that is taken at once, of which checkpointing leaves 20.
struct Made {
  int calls = 0;
  Forecast operator()(const TrainOptions& options) {
    ++calls;
    Forecast forecast;
    forecast.weights = 100;
    forecast.activations =
        static_cast<std::size_t>(options.rows_at_once()) * (options.checkpoint_activations ? 20 : 100);
    return forecast;
  }
};

Forecaster both(Made& made) { return {std::ref(made), std::ref(made)}; }

struct Choice {
  bool checkpoint;
  std::int64_t rows;
  bool operator==(const Choice&) const = default;
};

Choice choose(std::size_t limit, std::int64_t longest_row, TrainOptions options = {.batch_size = 8}) {
  Made made;
  MemoryPlan plan = plan_memory(options, limit, longest_row, both(made));
  CHECK(plan.forecast.total() == Made()(plan.options).total());
  CHECK(plan.forecast.total() <= limit);
  CHECK(plan.options.batch_size == options.batch_size);
  CHECK(plan.options.grad_accum == options.grad_accum);
  CHECK(made.calls < 20);
  return {plan.options.checkpoint_activations, plan.options.rows_at_once()};
}

}  // namespace

TEST_CASE("rows that are to stay together stay so as long as checkpointed blocks leave room") {
  auto choose_kept = [](std::size_t limit) {
    Made made;
    MemoryPlan plan = plan_memory({.batch_size = 8, .micro_batch = 4}, limit, 512, both(made), true);
    return Choice{plan.options.checkpoint_activations, plan.options.rows_at_once()};
  };
  CHECK(choose_kept(500) == Choice{false, 4});
  CHECK(choose_kept(499) == Choice{true, 4});
  CHECK(choose_kept(180) == Choice{true, 4});
  CHECK(choose_kept(179) == Choice{true, 2});
}

TEST_CASE("the fastest way to run within a limit is taken") {
  CHECK(choose(900, 512) == Choice{false, 8});
  // Five would fit: eight rows are two batches, shared out evenly.
  CHECK(choose(600, 512) == Choice{false, 4});
  CHECK(choose(499, 512) == Choice{false, 3});
  CHECK(choose(200, 512) == Choice{false, 1});
  CHECK(choose(199, 512) == Choice{true, 4});
  CHECK(choose(120, 512) == Choice{true, 1});
  // Rows of 16 tokens: fewer than four at a time are too little work, blocks computed twice cost less.
  CHECK(choose(500, 16) == Choice{false, 4});
  CHECK(choose(499, 16) == Choice{true, 8});
  CHECK(choose(200, 64) == Choice{false, 1});
  CHECK(choose(900, 512, {.batch_size = 8, .checkpoint_activations = true}) == Choice{true, 8});
  CHECK(choose(200, 512, {.batch_size = 8, .checkpoint_activations = true}) == Choice{true, 4});
  CHECK(choose(350, 512, {.batch_size = 3, .grad_accum = 4}) == Choice{false, 2});
}

TEST_CASE("a limit that nothing keeps is refused with the least that would do") {
  Made made;
  std::string message = message_of<IoError>([&] { plan_memory({.batch_size = 8}, 119, 512, both(made)); });
  CHECK(contains(message, "expected at least 2 MiB"));
  CHECK(contains(message, "found 119 B"));
}

TEST_CASE("a plan says what it changed") {
  Made made;
  TrainOptions asked{.batch_size = 8};
  auto measures = [&](std::size_t limit) { return plan_memory(asked, limit, 512, both(made)).measures(asked); };
  CHECK(measures(900) == "");
  CHECK(measures(600) == "4 rows at a time");
  CHECK(measures(260) == "1 row at a time");
  CHECK(measures(140) == "checkpointed blocks, 2 rows at a time");
}

TEST_CASE("a forecast above what is available is warned of, with what would fit") {
  constexpr std::size_t mebi = 1 << 20;
  auto in_mebi = [](const TrainOptions& options) {
    Forecast forecast = Made()(options);
    forecast.weights *= mebi;
    forecast.activations *= mebi;
    forecast.held = 10 * mebi;
    forecast.process = 15 * mebi;
    return forecast;
  };
  TrainOptions asked{.batch_size = 8};
  MemoryPlan plan{asked, in_mebi(asked), 0};
  CHECK(plan.forecast.still_to_come() == 805 * mebi);
  auto warning = [&](std::size_t available) {
    plan.available = available * mebi;
    return memory_warning(plan, asked, 512, {in_mebi, in_mebi});
  };
  CHECK(warning(905) == "");
  // The base's pages can be read again: slow, but it goes on.
  CHECK(
      warning(904) ==
      "memory: 904 MiB are available, and 805 MiB more will be needed beside the base's 100 MiB of mapped pages, which "
      "will be read from the disk again and again; --max-memory 914MiB would fit (4 rows at a time)");
  CHECK(warning(805).find("again and again") != std::string::npos);
  CHECK(warning(804).find("again and again") == std::string::npos);
  CHECK(contains(warning(200), "--max-memory 210MiB would fit (checkpointed blocks, 4 rows at a time)"));
  CHECK(plan_memory(asked, 210 * mebi, 512, {in_mebi, in_mebi}).options.rows_at_once() == 4);
  plan.forecast.weights_are_released = true;
  CHECK(warning(805) == "");
  CHECK(warning(804).find("mapped") == std::string::npos);
  plan.forecast.weights_are_released = false;
  CHECK(contains(warning(100), "the least is 137 MiB in all (checkpointed blocks, 1 row at a time)"));
  // A limit has counted the mapped pages: 805 are to come.
  plan.limit = MemoryLimit{"ulimit -v", 1000 * mebi, 804 * mebi};
  CHECK(warning(805) == "");
  CHECK(
      warning(804) ==
      "memory: 804 MiB are left of ulimit -v 1000 MiB, and 805 MiB more will be needed; --max-memory 914MiB would fit "
      "(4 rows at a time)");
}

TEST_CASE("a device with memory of its own is planned for in that memory, with room for gaps") {
  constexpr std::size_t mebi = 1 << 20;
  auto on_device = [](const TrainOptions& options) {
    Forecast forecast = Made()(options);
    forecast.own_memory = true;
    forecast.weights *= mebi;
    forecast.activations *= mebi;
    forecast.workspace = 28 * mebi;
    forecast.held = forecast.process = 300 * mebi;  // the host's
    return forecast;
  };
  TrainOptions asked{.batch_size = 8};
  MemoryPlan plan{asked, on_device(asked), 928 * mebi};
  CHECK(plan.forecast.total() == 928 * mebi);
  CHECK(memory_warning(plan, asked, 512, {on_device, on_device}) == "");
  auto rows = [&](std::size_t limit) {
    return plan_memory(asked, limit * mebi, 512, {on_device, on_device}).options.rows_at_once();
  };
  CHECK(rows(943) == 8);
  CHECK(rows(942) == 4);  // 928 and a 64th are more
  plan.available = 600 * mebi;
  CHECK(memory_warning(plan, asked, 512, {on_device, on_device}) ==
        "memory: 600 MiB of the device's may be taken, and 928 MiB will be needed; --max-memory 600MiB would fit (4 "
        "rows at a time)");
  plan.available = 100 * mebi;
  CHECK(contains(memory_warning(plan, asked, 512, {on_device, on_device}),
                 "; the least is 152 MiB in all (checkpointed blocks, 1 row at a time)"));
  CHECK(rows(152) == 1);
}

TEST_CASE("a plan goes by the threads that it counts, and the forecast is the run's own") {
  auto with_threads = [](int threads) {
    return [threads](const TrainOptions& options) {
      Forecast forecast = Made()(options);
      forecast.process = static_cast<std::size_t>(threads) * 10;
      return forecast;
    };
  };
  auto plan = [&](int threads, std::size_t limit) {
    return plan_memory({.batch_size = 8}, limit, 512, {with_threads(planned_threads), with_threads(threads), threads});
  };
  for (int threads : {1, 2, 16, 20}) {
    CAPTURE(threads);
    MemoryPlan found = plan(threads, 700);  // 100 + 160 + 4 rows
    CHECK(found.options.rows_at_once() == 4);
    CHECK(found.forecast.process == static_cast<std::size_t>(threads) * 10);
    CHECK(found.forecast.total() <= 700);
  }
  std::string message = message_of<IoError>([&] { plan(21, 700); });
  CHECK(message ==
        "threads: expected so few that the run keeps within max-memory 700 B (16 do), found 21, which take 710 B");
}
