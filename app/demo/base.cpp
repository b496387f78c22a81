#include "app/demo/base.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>

#include "app/demo/corpus.h"
#include "app/demo/progress.h"
#include "app/demo/tasks.h"
#include "app/fresh_folder.h"
#include "app/terminal/console.h"
#include "data/tokenizer/byte_level.h"
#include "engine/error.h"
#include "io/atomic.h"
#include "models/files/write_model.h"
#include "train/output.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t hidden_size = 160;
constexpr std::size_t stories = 20000;
/// Changes when stories, tokenizer or training change in a way that the key below does not see.
constexpr const char* version = "3";

std::string config_text(std::int64_t vocab_size) {
  return Json(Json::Object{{"model_type", "llama"},
                           {"vocab_size", vocab_size},
                           {"hidden_size", hidden_size},
                           {"intermediate_size", 432},
                           {"num_hidden_layers", 3},
                           {"num_attention_heads", 4},
                           {"num_key_value_heads", 4},
                           {"hidden_act", "silu"},
                           {"max_position_embeddings", 256},
                           {"rms_norm_eps", 1e-5},
                           {"tie_word_embeddings", true}})
             .dump(2) +
         "\n";
}

TrainOptions pretrain_options(const DemoScale& scale) {
  TrainOptions options;
  options.lr = 2e-3;
  options.schedule = ScheduleKind::cosine;
  options.steps = scale.pretrain_steps;
  options.warmup_steps = scale.pretrain_steps / 20;
  options.batch_size = 16;
  options.beta2 = 0.98;
  options.seed = scale.base_seed;
  return options;
}

/// The bytes tokenizer's file with the demo's words as tokens of their own: a word that is a token is that token.
void add_words(const std::string& folder) {
  std::string path = folder + "/tokenizer.json";
  Json tokenizer = read_json_file(path);
  Json model = *tokenizer.find("model"), vocabulary = *model.find("vocab");
  std::int64_t id = demo_end_token;
  for (const std::string& word : demo_vocabulary())
    if (word.size() > 1) vocabulary.set(to_byte_level(word), ++id);
  model.set("vocab", vocabulary);
  model.set("ignore_merges", true);
  tokenizer.set("model", model);
  Json words = *tokenizer.find("pre_tokenizer");
  words.set("use_regex", true);
  tokenizer.set("pre_tokenizer", words);
  write_file(path, tokenizer.dump(2) + "\n");
}

std::int64_t vocabulary_size() {
  std::int64_t size = demo_end_token + 1;
  for (const std::string& word : demo_vocabulary()) size += word.size() > 1;
  return size;
}

/// Fresh models start as normal(0, 0.02), made for widths of a thousand; at this width 1/sqrt(width) is the usual
/// scale, and attention does not start out nearly uniform.
void widen_start(const CausalLm& model) {
  const double factor = 1 / (0.02 * std::sqrt(static_cast<double>(hidden_size)));
  for (auto [name, tensor] : model.trainable()) {
    if (tensor.rows() == 1 || tensor.cols() == 1) continue;  // norms start at 1
    std::vector<float> values = tensor.values<float>();
    for (float& value : values) value *= static_cast<float>(factor);
    tensor.set_values(std::move(values));
  }
}

void pretrain_into(const std::string& folder, const DemoScale& scale, const DevicePtr& device, DemoProgress& progress) {
  std::string config = folder + "/config.json";
  write_file(config, config_text(vocabulary_size()));
  FreshFolder(config, Tokenizer::bytes(), {}).write(folder);
  add_words(folder);
  Tokenizer tokenizer = Tokenizer::from_folder(folder);
  std::unique_ptr<CausalLm> model = new_model(config, device, scale.base_seed);
  widen_start(*model);
  Dataset data = demo_stories(stories, scale.base_seed, 0, tokenizer, demo_end_token);
  progress.begin("pretraining the base on its own stories");
  progress.train(*model, nullptr, data, pretrain_options(scale));
  write_model(*model, folder, folder);
}

/// "" where the environment names no cache.
std::string cache_folder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache && fs::path(cache).is_absolute()) return std::string(cache) + "/loragrad/demo";
  const char* home = std::getenv("HOME");
  return home && fs::path(home).is_absolute() ? std::string(home) + "/.cache/loragrad/demo" : "";
}

std::string key(const DemoScale& scale) {
  std::string facts =
      version + config_text(vocabulary_size()) + fmt::format("{} {}", scale.pretrain_steps, scale.base_seed);
  for (const std::string& word : demo_vocabulary()) facts += word;
  return fmt::format("{:016x}", hash_name(facts.data(), facts.size()));
}

/// A folder that is not all there, or of another time, is made anew rather than trusted.
bool usable(const std::string& folder, const DevicePtr& device) {
  if (!fs::exists(folder + "/config.json")) return false;
  try {
    Tokenizer::from_folder(folder);
    load_model(folder, device);
    return true;
  } catch (const Error& error) {
    warn(std::string("the cached base is not used: ") + error.what());
    return false;
  }
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::error_code failed;
  fs::path parent = fs::temp_directory_path(failed);
  path_ = (failed ? fs::path("/tmp") : parent) / "loragrad-demo-XXXXXX";
  if (!mkdtemp(path_.data())) throw IoError(path_ + ": cannot make a temporary folder");
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

DemoBase open_demo_base(const DemoScale& scale, bool fresh, const DevicePtr& device, const std::string& scratch,
                        DemoProgress& progress) {
  std::string cache = cache_folder();
  DemoBase base{cache + "/base-" + key(scale)};
  if (!cache.empty() && !fresh && usable(base.folder, device)) {
    base.cached = true;
    return base;
  }
  std::optional<AtomicFolder> kept;
  try {
    if (cache.empty()) throw IoError("neither XDG_CACHE_HOME nor HOME names a folder");
    fs::create_directories(cache);
    kept.emplace(base.folder, AtomicFolder::Existing::replace);
  } catch (const std::exception& error) {
    warn(std::string("the base will not be kept: ") + error.what());
    base.folder = scratch + "/base";
    kept.emplace(base.folder, AtomicFolder::Existing::replace);
  }
  Stopwatch watch;
  progress.expect(scale.pretrain_steps);
  pretrain_into(kept->staging(), scale, device, progress);
  base.seconds = watch.seconds();
  kept->commit();
  return base;
}

}  // namespace loragrad
