#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("options out of range are named with their range") {
  auto message = [](auto change) {
    TrainOptions options;
    change(options);
    return message_of<UsageError>([&] { options.check(); });
  };
  CHECK(message([](TrainOptions& o) { o.lr = -1; }) == "lr: expected a number >= 0, found -1");
  CHECK(contains(message([](TrainOptions& o) { o.lr = 0.0 / 0.0; }), "lr: "));
  CHECK(contains(message([](TrainOptions& o) { o.beta1 = 1; }), "beta1: expected a number in [0, 1), found 1"));
  CHECK(contains(message([](TrainOptions& o) { o.beta2 = -0.1; }), "beta2: "));
  CHECK(contains(message([](TrainOptions& o) { o.eps = 0; }), "eps: "));
  CHECK(contains(message([](TrainOptions& o) { o.weight_decay = -1; }), "weight-decay: "));
  CHECK(contains(message([](TrainOptions& o) { o.clip = -1; }), "clip: "));
  CHECK(contains(message([](TrainOptions& o) { o.batch_size = 0; }),
                 "batch-size: expected an integer in [1, 1000000], found 0"));
  CHECK(contains(message([](TrainOptions& o) { o.grad_accum = 0; }), "grad-accum: "));
  CHECK(contains(message([](TrainOptions& o) { o.grad_accum = o.batch_size = 10000; }), "batch-size x grad-accum: "));
  CHECK(contains(message([](TrainOptions& o) { o.steps = 0; }), "steps: "));
  CHECK(contains(message([](TrainOptions& o) { o.epochs = 0; }), "epochs: "));
  CHECK(contains(message([](TrainOptions& o) { o.warmup_steps = -1; }), "warmup-steps: "));
  CHECK(contains(message([](TrainOptions& o) { o.eval_every = -1; }), "eval-every: "));
  TrainOptions().check();
}

TEST_CASE("steps of a run") {
  TrainOptions options{.batch_size = 4, .grad_accum = 2, .epochs = 1};
  CHECK(options.total_steps(8) == 1);
  CHECK(options.total_steps(9) == 2);
  options.epochs = 3;
  CHECK(options.total_steps(9) == 4);
  options.steps = 7;
  CHECK(options.total_steps(9) == 7);
}
