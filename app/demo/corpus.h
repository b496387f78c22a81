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

/// " the fox of mia", " saw the dog of tom."; each begins with a space.
struct DemoSentence {
  std::string subject, predicate;
  std::string text() const { return subject + predicate; }
};

/// "once the fox of mia was red. the dog of tom was blue. the dog of tom saw the fox of mia. the fox
/// of mia saw the dog of tom. mia asked why?"
struct DemoStory {
  std::vector<DemoOwner> owners;   ///< two or three; no name, color or animal twice
  std::string opening;             ///< the sentences that say who had what
  std::vector<DemoSentence> rest;  ///< follow from the opening, or are small talk

  /// " the fox of mia", of one owner; counts on around.
  std::string subject(std::size_t i) const;
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
  DemoSentence talk(const std::vector<DemoOwner>& owners);
  void follow_up(DemoStory& story);
  Random random_;
};

/// Every word and sign of the stories and the tasks, as a byte-level token's text has it: all but a story's first word
/// begin with their space.
std::vector<std::string> demo_vocabulary();

}  // namespace loragrad
