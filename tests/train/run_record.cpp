#include "train/run_record.h"

#include "tests/train/support.h"

using namespace loragrad;
using namespace loragrad::test;

TEST_CASE("every difference is told, and what may differ is none") {
  const TrainOptions asked{.lr = 1e-2, .batch_size = 2, .grad_accum = 2, .steps = 9};
  const LoraConfig adapter = lora_config({"q_proj", "v_proj"}, 0.2);
  auto record = [](const TrainOptions& options, const LoraConfig& config) {
    RunRecord r;
    r.add(options);
    r.add(config);
    r.data = "a";
    r.steps = 10;
    return r;
  };
  RunRecord then = record(asked, adapter);
  const Json json(record_json(then));
  RunRecord read = read_record(JsonRef(json, "state.json"));
  CHECK(Json(record_json(read)).dump() == json.dump());

  TrainOptions options = asked;
  options.checkpoint_activations = true;
  options.eval_every = 4;
  options.early_stop = 1;
  RunRecord now = record(options, adapter);
  now.steps = 12;
  CHECK(differences(then, now).refused.empty());
  CHECK(differences(then, now).notes ==
        std::vector<std::string>{"12 steps instead of 10: the schedule follows the new number from here on"});
  options.lr = 0.5;
  options.seed = 1;
  LoraConfig config = adapter;
  config.use_dora = true;
  now = record(options, config);
  now.data = "b";
  now.base = "c";
  now.steps = 9;
  CHECK(differences(then, now).refused == std::vector<std::string>{"--lr 0.5 instead of 0.01", "--seed 1 instead of 0",
                                                                   "--dora yes instead of no", "another base",
                                                                   "other rows in --data", "9 steps instead of 10"});
  now = then;
  now.device = "another";
  now.micro_batch = 1;
  CHECK(differences(then, now).refused.empty());
  CHECK(differences(then, now).notes.size() == 2);
  now = then;
  then.eval_data = "a";
  now.eval_data = "b";
  CHECK(differences(then, now).refused.empty());
  CHECK(differences(then, now).other_eval_data);
  then.stops_early = now.stops_early = true;
  CHECK(differences(then, now).refused.size() == 1);
}

TEST_CASE("rows are told apart by what the model reads") {
  Dataset data = tiny_data(5), other = data;
  std::string hash = rows_hash(data);
  CHECK(rows_hash(other) == hash);
  std::swap(other.rows[0], other.rows[1]);
  CHECK(rows_hash(other) != hash);
  other = data;
  other.rows[4].labels.back() = no_label;
  CHECK(rows_hash(other) != hash);
  other = data;
  other.rows[2].adapter = "x";
  CHECK(rows_hash(other) != hash);
  other.path = "elsewhere";
  data.rows[2].adapter = "x";
  CHECK(rows_hash(other) == rows_hash(data));
}
