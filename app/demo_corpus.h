#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/random.h"

namespace loragrad {

/// Who had which animal in a story.
struct DemoOwner {
  std::string name, color, animal;
};

/// "once mia had a red fox. tom had a blue dog. the fox was red. tom fed the dog."
struct DemoStory {
  std::vector<DemoOwner> owners;  ///< two or three; no name, color or animal twice
  std::string opening;            ///< the sentences that say who had what, shuffled among others
  std::string rest;               ///< sentences that follow from the opening, and small talk; begins with a space
};

/// Tells stories out of a small grammar: equal seeds tell equal stories, on every machine.
class DemoStoryteller {
 public:
  DemoStoryteller(std::uint64_t seed, std::uint64_t stream) : random_(seed, stream) {}
  DemoStory next();
  std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }

 private:
  const std::string& pick(const std::vector<std::string>& words);
  std::vector<std::string> pick_apart(const std::vector<std::string>& words, std::size_t count);
  std::string talk(const std::vector<DemoOwner>& owners);
  std::string follow_up(const std::vector<DemoOwner>& owners);
  Random random_;
};

/// Every word and sign of the stories and the tasks, as a byte-level token's text has it: all but a story's first word
/// begin with their space.
std::vector<std::string> demo_vocabulary();

}  // namespace loragrad
