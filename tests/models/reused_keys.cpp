// A row that begins as the one before it in its place keeps that one's keys.
#include <doctest/doctest.h>

#include <algorithm>

#include "models/generate/generate.h"
#include "tests/models/decoding.h"

using namespace loragrad;
using namespace loragrad::test;

namespace {

/// What a conversation's turns are to the decoder: what was said before, and some more.
struct Talk {
  explicit Talk(const CausalLm& of) : model(of) {}
  Ids turn(std::size_t number, std::int64_t more) {
    Ids added = ids_of(70 + number, more, model.config().vocab_size);
    said.insert(said.end(), added.begin(), added.end());
    return said;
  }
  void answer(const Ids& tokens) { said.insert(said.end(), tokens.begin(), tokens.end()); }
  const CausalLm& model;
  Ids said;
};

/// A row's tokens are its likeliest ones, but for rounding, by a pass over all that is before each.
void check_likeliest(const Loaded& loaded, const Ids& prompt, const Ids& tokens, const std::string& adapter) {
  double tolerance = loaded.exact() ? 1e-5 : 1e-3;
  Ids ids = prompt;
  for (std::int32_t token : tokens) {
    KeyValueCache cache = loaded.model->make_cache(static_cast<std::int64_t>(ids.size()));
    std::vector<float> z = logits_of(loaded, cache, {{.ids = ids, .labels = {}, .place = 0}}, {adapter}, false)[0];
    CHECK(z[static_cast<std::size_t>(token)] >= *std::max_element(z.begin(), z.end()) - tolerance);
    ids.push_back(token);
  }
}

}  // namespace

TEST_CASE("a row that begins as the one before it reads the rest alone, and is the same but for rounding") {
  for (const std::string& folder : folders()) {
    CAPTURE(folder);
    Loaded loaded(folder, Precision::f32);
    const CausalLm& model = *loaded.model;
    GenerateOptions options{.max_tokens = 3, .end_tokens = {99}, .adapter = "a", .reuse_keys = true};
    BatchDecoder kept(model, 1, 6, loaded.adapters);
    Talk talk(model);
    std::int64_t held = 0, read = 0;
    for (std::size_t number = 0; number < 3; ++number) {
      Ids prompt = talk.turn(number, 4 - static_cast<std::int64_t>(number));
      auto size = static_cast<std::int64_t>(prompt.size());
      kept.reserve(most_tokens(model, size, options));
      Ids tokens = generate(kept, prompt, options);
      // Dynamic rotations leave keys as they were when the row was shorter.
      bool grows = folder.ends_with("dynamic");
      check_likeliest(loaded, prompt, grows ? Ids{tokens[0]} : tokens, "a");
      if (loaded.exact()) CHECK(tokens == generate(model, loaded.adapters, prompt, options));
      if (model.config().positions_turned_alike == 0) CHECK(kept.prompt_tokens() - read == size - held);
      read = kept.prompt_tokens();
      held = size + 2;  // the last token has not gone in
      talk.answer(tokens);
    }
  }
}

TEST_CASE("what a row has in common with the one before it, and with the same adapters alone") {
  Loaded loaded(llama, Precision::f32);
  GenerateOptions options{.max_tokens = 2, .end_tokens = {99}, .adapter = "a", .reuse_keys = true};
  BatchDecoder decoder(*loaded.model, 1, 30, loaded.adapters);
  auto reads = [&](const Ids& prompt, const GenerateOptions& with) {
    std::int64_t before = decoder.prompt_tokens();
    Ids tokens = generate(decoder, prompt, with);
    std::int64_t count = decoder.prompt_tokens() - before;
    check_likeliest(loaded, prompt, tokens, with.adapter);
    return count;
  };
  GenerateOptions other = options, anew = options;
  other.adapter = "b";
  anew.reuse_keys = false;
  CHECK(reads({1, 2, 3, 4, 5}, options) == 5);
  CHECK(reads({1, 2, 3, 4, 5}, options) == 1);  // whose logits are wanted
  CHECK(reads({1, 2, 3, 9, 8, 7}, options) == 3);
  CHECK(reads({1, 2}, options) == 1);  // a shorter one
  CHECK(reads({1, 2, 3, 9}, options) == 2);
  CHECK(reads({5, 2, 3, 9}, options) == 4);
  CHECK(reads({5, 2, 3, 9}, other) == 4);
  CHECK(reads({5, 2, 3, 9}, other) == 1);
  CHECK(reads({5, 2, 3, 9}, anew) == 4);
  CHECK(reads({5, 2, 3, 9}, options) == 1);
  decoder.reserve(40);
  CHECK(reads({5, 2, 3, 9, 4}, options) == 1);
  decoder.use(loaded.adapters);
  CHECK(reads({5, 2, 3, 9, 4}, options) == 5);
  // Of a row that ended early what it had is there, and of one that was decoded with other adapters nothing.
  decoder.add(0, {5, 2, 3, 9, 4, 6, 7}, options);
  decoder.step();
  decoder.cancel(0);
  CHECK(reads({5, 2, 3, 9, 4, 6, 7}, options) == 1);
  decoder.add(0, {5, 2, 3}, options);
  decoder.step();
  decoder.use(loaded.adapters);
  decoder.step();
  CHECK(decoder.done());
  CHECK(reads({5, 2, 3, 9}, options) == 4);
}

TEST_CASE("keys that were turned otherwise are not another row's") {
  // A Phi-3 turns rows of more than 12 tokens otherwise, all of their keys alike; dynamic turns depend on the length.
  for (const char* name : {"phi3-longrope", "llama-dynamic"}) {
    CAPTURE(name);
    Loaded loaded(std::string("tests/models/golden/") + name, Precision::f32);
    const ModelConfig& config = loaded.model->config();
    bool alike_beyond = config.original_max_position_embeddings > 0;
    std::int64_t limit = config.positions_turned_alike;
    REQUIRE(limit > 0);
    GenerateOptions options{.max_tokens = 1, .end_tokens = {99}, .adapter = "b", .reuse_keys = true};
    BatchDecoder decoder(*loaded.model, 1, limit + 9, loaded.adapters);
    auto reads = [&](std::int64_t size) {
      std::int64_t before = decoder.prompt_tokens();
      Ids prompt = ids_of(5, size, config.vocab_size);
      Ids tokens = generate(decoder, prompt, options);
      check_likeliest(loaded, prompt, {tokens[0]}, "b");
      if (loaded.exact()) CHECK(tokens == generate(*loaded.model, loaded.adapters, prompt, options));
      return decoder.prompt_tokens() - before;
    };
    CHECK(reads(limit - 1) == limit - 1);
    CHECK(reads(limit) == 1);
    CHECK(reads(limit + 1) == limit + 1);
    CHECK(reads(limit + 4) == (alike_beyond ? 3 : limit + 4));
    CHECK(reads(limit) == limit);
    options.max_tokens = 3;  // grows beyond it
    CHECK(reads(limit - 1) == (alike_beyond ? 1 + limit + 1 : 1));
    CHECK(reads(limit + 1) == (alike_beyond ? 2 : limit + 1));
  }
}
