// Rows decoded together are the rows decoded alone.
#include "models/generate/batch_decoder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "engine/error.h"
#include "lora/files/adapter_file.h"
#include "models/generate/generate.h"
#include "tests/models/decoding.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

const std::vector<std::string> names = {"", "a", "b", "a", "", "b", "b", "a"};

Ids prompt_of(std::size_t row, const CausalLm& model) {
  return ids_of(row, 1 + static_cast<std::int64_t>(row * 5 % 13), model.config().vocab_size);
}

/// All rows' tokens.
std::map<std::int64_t, Ids> run(BatchDecoder& decoder) {
  std::map<std::int64_t, Ids> found;
  while (!decoder.done())
    for (const BatchDecoder::Token& token : decoder.step()) found[token.row].push_back(token.id);
  return found;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (double d = std::abs(double{a[i]} - double{b[i]}); !(d <= worst)) worst = d;
  return worst;
}

}  // namespace

TEST_CASE("logits of rows that are decoded together are those of each alone, bit for bit on a processor") {
  for (const std::string& folder : folders())
    for (Precision precision : {Precision::f32, Precision::bf16}) {
      CAPTURE(folder);
      CAPTURE(static_cast<int>(precision));
      Loaded loaded(folder, precision);
      const CausalLm& model = *loaded.model;
      double tolerance = loaded.exact() ? 0 : precision == Precision::f32 ? 1e-4 : 0.1;
      KeyValueCache together = model.make_cache(20, 9);
      std::vector<KeyValueCache> alone;
      for (std::size_t row = 0; row < names.size(); ++row) {
        alone.push_back(model.make_cache(20));
        Ids prompt = prompt_of(row, model);
        BatchRow place{.ids = prompt, .labels = {}, .place = static_cast<std::int64_t>(8 - row)};
        auto a = logits_of(loaded, together, {place}, {names[row]}, false);
        place.place = 0;
        auto b = logits_of(loaded, alone.back(), {place}, {names[row]}, false);
        CHECK(distance(a[0], b[0]) <= tolerance);
      }
      for (std::size_t step = 0; step < 3; ++step) {
        std::vector<BatchRow> rows;
        std::vector<Ids> ids;
        for (std::size_t row = 0; row < names.size(); ++row)
          ids.push_back(ids_of(100 * (step + 1) + row, 1, model.config().vocab_size));
        for (std::size_t row = 0; row < names.size(); ++row)
          rows.push_back({.ids = ids[row], .labels = {}, .place = static_cast<std::int64_t>(8 - row)});
        auto all = logits_of(loaded, together, rows, names, true);
        for (std::size_t row = 0; row < names.size(); ++row) {
          CAPTURE(row);
          rows[row].place = 0;
          auto one = logits_of(loaded, alone[row], {rows[row]}, {names[row]}, true);
          CHECK(distance(all[row], one[0]) <= tolerance);
        }
      }
    }
}

TEST_CASE("a row's tokens do not depend on its company, nor on when it comes") {
  for (const std::string& folder : folders())
    for (Precision precision : {Precision::f32, Precision::bf16}) {
      CAPTURE(folder);
      Loaded loaded(folder, precision);
      const CausalLm& model = *loaded.model;
      auto options_of = [](std::size_t row) {
        GenerateOptions options{.max_tokens = 3 + static_cast<std::int64_t>(row % 5), .seed = 11, .end_tokens = {50}};
        if (row % 3) options.temperature = 3, options.top_p = row % 2 ? 1 : 0.9;
        options.adapter = names[row % names.size()];
        return options;
      };
      BatchDecoder decoder(model, 3, 20, loaded.adapters);
      for (std::size_t row = 0; row < 11; ++row)
        decoder.add(static_cast<std::int64_t>(row), prompt_of(row, model), options_of(row));
      std::map<std::int64_t, Ids> together = run(decoder);
      CHECK(together.size() == 11);
      for (std::size_t row = 0; row < 11; ++row) {
        CAPTURE(row);
        auto number = static_cast<std::int64_t>(row);
        BatchDecoder one(model, 1, 20, loaded.adapters);
        one.add(number, prompt_of(row, model), options_of(row));
        Ids alone = run(one)[number];
        if (loaded.exact()) CHECK(together[number] == alone);
        bool ended = together[number].back() == 50;
        CHECK((ended || static_cast<std::int64_t>(together[number].size()) == options_of(row).max_tokens));
      }
      CHECK(generate(model, loaded.adapters, prompt_of(0, model), options_of(0)) == [&] {
        BatchDecoder one(model, 1, 20, loaded.adapters);
        one.add(0, prompt_of(0, model), options_of(0));
        return run(one)[0];
      }());
    }
}

TEST_CASE("a row that outgrows its rotation has transformers' text, whatever is beside it") {
  const std::string folder = "tests/models/golden/phi3-longrope";
  DevicePtr device = test_device(2);
  auto model = load_model(folder + "/model", device, {.precision = Precision::f32});
  ActiveAdapters adapters = model->activate(load_adapter(folder + "/adapter", device, model->linear_shapes(), false));
  GoldenCase golden = read_golden_case(folder);
  std::vector<std::pair<Ids, Ids>> texts;
  auto ids = [](const JsonRef& list) {
    Ids all;
    for (const JsonRef& id : list.elements()) all.push_back(static_cast<std::int32_t>(id.integer(0, 1000)));
    return all;
  };
  for (const JsonRef& text : JsonRef(golden.facts, "golden.json").at("greedy").elements())
    texts.emplace_back(ids(text.at("prompt")), ids(text.at("ids")));
  REQUIRE(texts.size() == 5);
  // They cross the limit each at its own step, or begin beyond it, or never reach it.
  BatchDecoder decoder(*model, 3, 30, adapters);
  GenerateOptions options{.max_tokens = 10, .end_tokens = {99}};
  for (std::size_t row = 0; row < texts.size(); ++row) {
    CAPTURE(row);
    CHECK(generate(*model, adapters, texts[row].first, options) == texts[row].second);
    decoder.add(static_cast<std::int64_t>(row), texts[row].first, options);
  }
  std::map<std::int64_t, Ids> together = run(decoder);
  for (std::size_t row = 0; row < texts.size(); ++row)
    CHECK(together[static_cast<std::int64_t>(row)] == texts[row].second);
}

TEST_CASE("draws differ by row and seed, and equal rows of one number draw alike") {
  Loaded loaded(llama, Precision::f32);
  auto tokens = [&](std::int64_t row, std::uint64_t seed) {
    BatchDecoder decoder(*loaded.model, 1, 30);
    decoder.add(row, {5, 6}, {.max_tokens = 20, .temperature = 5, .seed = seed, .end_tokens = {99}});
    return run(decoder)[row];
  };
  CHECK(tokens(0, 1) == tokens(0, 1));
  CHECK(tokens(0, 1) != tokens(1, 1));
  CHECK(tokens(0, 1) != tokens(0, 2));
}

TEST_CASE("a place that a row leaves is taken in the same step") {
  Loaded loaded(llama, Precision::f32);
  BatchDecoder decoder(*loaded.model, 2, 12);
  for (std::int64_t row = 0; row < 5; ++row)
    decoder.add(row, {1, 2, 3}, {.max_tokens = 2 + row % 3, .end_tokens = {99}});
  // Rows 0 to 4 take 2, 3, 4, 2, 3 tokens.
  std::vector<std::vector<std::int64_t>> steps;
  while (!decoder.done()) {
    std::vector<std::int64_t>& rows = steps.emplace_back();
    for (const BatchDecoder::Token& token : decoder.step()) rows.push_back(token.row);
  }
  CHECK(steps == std::vector<std::vector<std::int64_t>>{{0, 1}, {0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {2, 4}, {4}});
}

TEST_CASE("a row that ends with its first token leaves its place at once") {
  Loaded loaded(llama, Precision::f32);
  BatchDecoder decoder(*loaded.model, 1, 12);
  for (std::int64_t row = 0; row < 3; ++row) decoder.add(row, {1, 2, 3}, {.max_tokens = 1});
  std::vector<BatchDecoder::Token> tokens = decoder.step();
  CHECK(tokens.size() == 3);
  CHECK(tokens[2].last);
  CHECK(decoder.done());
}

TEST_CASE("a cancelled row is gone, and the others go on as they were") {
  Loaded loaded(llama, Precision::f32);
  auto options = [](std::size_t) { return GenerateOptions{.max_tokens = 6, .end_tokens = {99}}; };
  auto start = [&](BatchDecoder& decoder) {
    for (std::size_t row = 0; row < 4; ++row)
      decoder.add(static_cast<std::int64_t>(row), prompt_of(row, *loaded.model), options(row));
  };
  BatchDecoder all(*loaded.model, 2, 20), some(*loaded.model, 2, 20);
  start(all);
  start(some);
  std::map<std::int64_t, Ids> whole = run(all), found;
  for (int step = 0; !some.done(); ++step) {
    for (const BatchDecoder::Token& token : some.step()) found[token.row].push_back(token.id);
    if (step == 1) some.cancel(0);
    if (step == 2) some.cancel(3);
    some.cancel(77);
  }
  CHECK(found[0].size() == 2);
  CHECK(found.count(3) == 0);
  if (loaded.exact()) {
    CHECK(found[1] == whole[1]);
    CHECK(found[2] == whole[2]);
  }
  CHECK(found[2].size() == 6);
}

TEST_CASE("adapters are switched while rows are decoded") {
  Loaded loaded(llama, Precision::f32);
  Adapter adapter = full_adapter(*loaded.model, 0, 1);
  constexpr double strong = -40;  // writes something else
  loaded.adapters = loaded.model->activate({{adapter, 1, "a"}, {adapter, strong, "b"}});
  Ids prompt = prompt_of(3, *loaded.model), expected;
  constexpr std::size_t count = 6, with_adapter = 2;
  KeyValueCache cache = loaded.model->make_cache(20, 1);
  std::vector<float> z = logits_of(loaded, cache, {{.ids = prompt, .labels = {}, .place = 0}}, {"a"}, false)[0];
  for (;;) {
    expected.push_back(static_cast<std::int32_t>(std::max_element(z.begin(), z.end()) - z.begin()));
    if (expected.size() == count) break;
    std::string name = expected.size() < with_adapter ? "a" : "b";
    z = logits_of(loaded, cache, {{.ids = {&expected.back(), 1}, .labels = {}, .place = 0}}, {name}, true)[0];
  }

  auto decoded = [&](const ActiveAdapters& later) {
    BatchDecoder decoder(*loaded.model, 1, 20, loaded.model->activate(adapter));
    decoder.add(0, prompt, {.max_tokens = count, .end_tokens = {99}});
    Ids tokens;
    while (!decoder.done()) {
      tokens.push_back(decoder.step().front().id);
      if (tokens.size() == with_adapter) decoder.use(later);
    }
    return tokens;
  };
  Ids switched = decoded(loaded.model->activate(adapter, strong));
  CHECK(switched.size() == count);
  if (loaded.exact()) CHECK(switched == expected);
  CHECK(switched != decoded(loaded.model->activate(adapter)));
  CHECK(switched != decoded({}));

  BatchDecoder named(*loaded.model, 1, 20, loaded.adapters);
  named.add(0, prompt, {.max_tokens = 2, .adapter = "b"});
  CHECK_THROWS_AS(named.use({}), UsageError);
  named.use(loaded.adapters);
  CHECK_NOTHROW(named.step());
}

TEST_CASE("a batch decoder says what does not fit") {
  Loaded loaded(llama, Precision::f32);
  BatchDecoder decoder(*loaded.model, 2, 10, loaded.adapters);
  auto fails = [&](std::int64_t row, Ids prompt, const GenerateOptions& options, const char* says) {
    CHECK_THROWS_WITH(decoder.add(row, std::move(prompt), options), says);
  };
  fails(0, {}, {}, "prompt: expected at least one token, found none");
  fails(0, {1, 53}, {}, "prompt: expected ids below the vocabulary's 53, found 53");
  fails(0, Ids(40, 1), {}, "prompt: expected fewer tokens than the model's 40 positions, found 40");
  fails(4, Ids(5, 1), {.max_tokens = 6}, "row 4: expected at most 10 tokens, found a prompt of 5 and 6 to come");
  fails(0, {1}, {.max_tokens = 0}, "max-tokens: expected an integer >= 1, found 0");
  decoder.add(3, {1}, {.max_tokens = 2, .end_tokens = {99}});
  fails(3, {1}, {.max_tokens = 2}, "row 3: expected a number of its own, found one that is being decoded");
  decoder.step();
  fails(3, {1}, {.max_tokens = 2}, "row 3: expected a number of its own, found one that is being decoded");
  decoder.step();
  CHECK(decoder.done());
  CHECK_THROWS_AS(decoder.add(3, {1}, {.max_tokens = 2, .adapter = "c"}), UsageError);
  CHECK_THROWS_AS(BatchDecoder(*loaded.model, 0, 10), UsageError);
}

TEST_CASE("logits that are NaN are an error that names the row, drawn or not") {
  for (double temperature : {0.0, 1.0}) {
    auto model = load_model(llama + "/model", test_device(1), {.precision = Precision::f32});
    Tensor head = model->head().weight().to_tensor(DType::f32);
    change_values<float>(head, [](auto& values) { values[7] = std::numeric_limits<float>::quiet_NaN(); });
    model->replace("lm_head.weight", head.set_trainable());
    BatchDecoder decoder(*model, 2, 10);
    decoder.add(6, {1, 2}, {.max_tokens = 2, .temperature = temperature});
    CHECK_THROWS_WITH_AS(decoder.step(), "row 6: the logits of token 0 are not numbers (NaN)", NumericError);
  }
}

TEST_CASE("a cache takes only batches that were made for it as it is") {
  Loaded loaded(llama, Precision::f32);
  const CausalLm& model = *loaded.model;
  KeyValueCache cache = model.make_cache(4, 2);
  Ids ids{1, 2, 3};
  auto batch = [&](std::int64_t place, const KeyValueCache* of) {
    return make_batch(model.device(), {{.ids = ids, .labels = {}, .place = place}}, 53, 0, of);
  };
  Batch first = batch(1, &cache);
  model.hidden({.batch = first, .record = false, .cache = &cache});
  CHECK(cache.length(0) == 0);
  CHECK(cache.length(1) == 3);
  CHECK_THROWS_WITH_AS(model.hidden({.batch = first, .record = false, .cache = &cache}),
                       "pass: expected a batch made for the cache as it is, found another", UsageError);
  CHECK_THROWS_WITH_AS(batch(1, &cache), "cache: a place holds 4 tokens, found 6", UsageError);
  CHECK_THROWS_WITH_AS(batch(2, &cache), "cache: expected a place below 2, found 2", UsageError);
  CHECK_THROWS_AS(model.hidden({.batch = batch(0, nullptr), .record = false, .cache = &cache}), UsageError);
  CHECK_THROWS_AS(model.hidden({.batch = batch(0, &cache), .record = false}), UsageError);
  CHECK_THROWS_WITH_AS(cache.keep(1, 4), "cache: expected at most the 3 tokens that are there to keep, found 4",
                       UsageError);
  cache.clear(1);
  CHECK(cache.length(1) == 0);
  model.hidden({.batch = batch(1, &cache), .record = false, .cache = &cache});
}
