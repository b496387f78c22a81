#include "io/hub_cache.h"

#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "io/needed_folder.h"
#include "tests/io/support.h"

using namespace loragrad;
using namespace loragrad::test;

namespace fs = std::filesystem;

namespace {

/// A cache as the hub's library makes it, in a home of its own; the variables are put back at the end.
struct Cache {
  Cache() {
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"}) {
      const char* value = std::getenv(name);
      before.emplace_back(name, value ? std::optional<std::string>(value) : std::nullopt);
      ::unsetenv(name);
    }
    ::setenv("HOME", folder.path().c_str(), 1);
  }
  ~Cache() {
    for (const auto& [name, value] : before) value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
  }
  std::string repository(const std::string& name) const { return hub_cache_folder() + "/" + name; }
  std::string snapshot(const std::string& name, const std::string& commit) const {
    std::string path = repository(name) + "/snapshots/" + commit;
    fs::create_directories(path);
    for (const char* other : {"blobs", "refs"}) fs::create_directories(repository(name) + "/" + other);
    put(path + "/config.json", "{}");
    return path;
  }
  TempFolder folder;
  std::vector<std::pair<const char*, std::optional<std::string>>> before;
};

std::string refusal(const std::string& path, const std::string& file = "config.json") {
  std::string message = message_of<IoError>([&] { require_folder_with(path, file); });
  CHECK(message.starts_with(path + ": "));
  return message.substr(std::min(message.size(), path.size() + 2));
}

}  // namespace

TEST_CASE("the hub's cache is where its own library looks for it") {
  Cache cache;
  std::string home = cache.folder.path();
  CHECK(hub_cache_folder() == home + "/.cache/huggingface/hub");
  ::setenv("XDG_CACHE_HOME", "/xdg", 1);
  CHECK(hub_cache_folder() == "/xdg/huggingface/hub");
  ::setenv("HF_HOME", "/hf", 1);
  CHECK(hub_cache_folder() == "/hf/hub");
  ::setenv("HF_HUB_CACHE", "/cache", 1);
  CHECK(hub_cache_folder() == "/cache");
}

TEST_CASE("the snapshot is the one that refs/main names, or the only one") {
  Cache cache;
  std::string repository = cache.repository("models--org--one"), first = cache.snapshot("models--org--one", "aaa");
  CHECK(hub_snapshot(repository) == first);
  cache.snapshot("models--org--one", "bbb");
  CHECK(hub_snapshot(repository) == "");
  CHECK(contains(refusal(repository), "take one of its snapshots/: aaa, bbb"));
  put(repository + "/refs/main", "bbb\n");
  CHECK(hub_snapshot(repository) == repository + "/snapshots/bbb");
  put(repository + "/refs/main", "gone");
  CHECK(hub_snapshot(repository) == "");
  put(repository + "/refs/main", "../blobs");
  CHECK(hub_snapshot(repository) == "");
}

TEST_CASE("a repository's folder, what lies in it, and the cache around it name the snapshot") {
  Cache cache;
  std::string snapshot = cache.snapshot("models--org--one", "aaa"), root = cache.repository("models--org--one");
  for (const std::string& path : {root, root + "/", root + "/snapshots", root + "/blobs", root + "/refs"})
    CHECK(refusal(path) ==
          "expected a model's or adapter's folder, found a repository of the hub's cache; take its "
          "snapshot " +
              snapshot);
  std::string hub = hub_cache_folder();
  for (const std::string& path : {hub, fs::path(hub).parent_path().string()})
    CHECK(contains(refusal(path), "the hub's cache; take the snapshot " + snapshot));
  cache.snapshot("models--two", "bbb");
  CHECK(contains(refusal(hub), "take a snapshot of org/one, two in its snapshots/"));
  require_folder_with(snapshot, "config.json");
  // A model's folder may have a folder of this name too.
  fs::create_directories(snapshot + "/snapshots");
  require_folder_with(snapshot, "config.json");
}

TEST_CASE("a hub's name where no such folder is: its snapshot, or what downloads it") {
  Cache cache;
  std::string snapshot = cache.snapshot("models--org--one", "aaa"), old = cache.snapshot("models--gpt2", "bbb");
  for (const char* name : {"org/one", "https://huggingface.co/org/one", "https://huggingface.co/org/one/tree/main"})
    CHECK(refusal(name) == "expected a folder, found nothing: the hub's cache has it as " + snapshot);
  CHECK(refusal("gpt2") == "expected a folder, found nothing: the hub's cache has it as " + old);
  CHECK(refusal("org/two") ==
        "expected a folder, found nothing: if it is on the hub, hf download org/two brings it here");
  for (const char* name : {"two", "./org/two", "/org/two", "a/b/c", "org/t wo", "../two"})
    CHECK(refusal(name) == "expected a folder, found nothing");
  // A program takes the snapshot; a folder that is here wins, whatever it holds.
  for (const char* name : {"org/one", "org/one/", "https://huggingface.co/org/one"})
    CHECK(needed_folder(name, "config.json") == snapshot);
  CHECK(needed_folder("gpt2", "config.json") == old);
  CHECK(local_folder("org/two") == "org/two");
  fs::path before = fs::current_path();
  fs::current_path(cache.folder.path());
  fs::create_directories("org/one");
  CHECK(local_folder("org/one") == "org/one");
  CHECK(contains(refusal("org/one"), "expected config.json in this folder"));
  fs::remove("org/one");
  fs::create_symlink("gone", "org/one");
  CHECK(local_folder("org/one") == "org/one");
  fs::current_path(before);
  // What is not whole is told where it lies.
  cache.snapshot("models--org--empty", "ccc");
  fs::remove(cache.repository("models--org--empty") + "/snapshots/ccc/config.json");
  CHECK(contains(message_of<IoError>([&] { needed_folder("org/empty", "config.json"); }),
                 "snapshots/ccc: expected config.json in this folder, found nothing"));
  CHECK(hub_hint("org/rows", HubKind::dataset) ==
        ": if it is on the hub, hf download org/rows --repo-type dataset prints the folder to give");
}

TEST_CASE("the repository of a name or of a path into the cache") {
  Cache cache;
  std::string full = cache.snapshot("models--Org--one", "aaa"), old = cache.snapshot("models--gpt2", "bbb");
  CHECK(hub_id("Org/one") == "Org/one");
  CHECK(hub_id(full) == "Org/one");
  CHECK(hub_id(full + "/") == "Org/one");
  CHECK(hub_id(old) == "gpt2");
  CHECK(hub_id("/gone/models--a--b/snapshots/c") == "a/b");
  fs::create_symlink(full, cache.folder / "link");
  CHECK(hub_id(cache.folder / "link") == "Org/one");
  for (const std::string& other :
       {std::string(), std::string("one"), std::string("a/b/c"), std::string("/one"), std::string("one/"),
        std::string("./one"), std::string("a b/c"), cache.folder.path(), cache.repository("models--gpt2")})
    CHECK_MESSAGE(!hub_id(other), other);
  CHECK(base_name_of(full) == "Org/one");
  CHECK(base_name_of(cache.folder / "link") == "Org/one");
  CHECK(base_name_of(cache.folder.path()) == cache.folder.path());
  CHECK(same_hub_id("Org/One", "org/one"));
  CHECK(same_hub_id("gpt2", "openai-community/gpt2"));
  CHECK(!same_hub_id("a/one", "b/one"));
}

TEST_CASE("a file for a folder, and a folder of something else") {
  TempFolder folder;
  put(folder / "config.json", "{}");
  put(folder / "model.safetensors", "");
  CHECK(refusal(folder / "model.safetensors") == "expected a folder, found a file: give its folder, " + folder.path());
  put(folder / "x.gguf", "");
  CHECK(contains(refusal(folder / "x.gguf"), "found a file of GGUF, which is not read"));
  CHECK(refusal(folder / "x.gguf/y") == "expected a folder, found nothing");
  CHECK(refusal(folder.path(), "adapter_config.json") ==
        "expected adapter_config.json in this folder, found a model (give it as --model)");
  fs::create_directories(folder / "runs/checkpoint-5");
  CHECK(refusal(folder / "runs") == "expected config.json in this folder, found checkpoint-5");
  put(folder / "runs/checkpoint-5/adapter_config.json", "{}");
  CHECK(refusal(folder / "runs", "adapter_config.json") ==
        "expected adapter_config.json in this folder, found it in checkpoint-5 within");
  CHECK(
      contains(refusal(folder / "runs/checkpoint-5"), "found an adapter (give it as --adapter, its base as --model)"));
  fs::create_directories(folder / "many");
  CHECK(refusal(folder / "many") == "expected config.json in this folder, found nothing");
  for (int i = 10; i < 99; ++i) put(folder / ("many/f" + std::to_string(i)), "");
  CHECK(contains(refusal(folder / "many"), "found f10, f11, f12, f13, f14, f15, f16, f17, f18, f19 and 79 more"));
}
