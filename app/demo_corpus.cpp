#include "app/demo_corpus.h"

#include <algorithm>

namespace loragrad {
namespace {

using Words = std::vector<std::string>;

const Words& names() {
  static const Words words{"mia", "tom", "kim", "ben", "eva", "sam", "lea", "max",
                           "ida", "jon", "ann", "leo", "zoe", "tim", "uma", "roy"};
  return words;
}
const Words& animals() {
  static const Words words{"fox", "dog",  "cat",  "hen",  "owl",  "pig",  "cow",   "goat",
                           "bee", "frog", "crab", "duck", "wolf", "bear", "mouse", "horse"};
  return words;
}
const Words& colors() {
  static const Words words{"red", "blue", "green", "black", "white", "brown", "pink", "grey", "gold", "purple"};
  return words;
}
const Words& places() {
  static const Words words{"lake", "hill", "barn", "river", "market", "bridge", "garden", "mill"};
  return words;
}
const Words& deeds() {
  static const Words words{"slept", "ran", "hid", "sang", "ate", "jumped"};
  return words;
}

}  // namespace

const std::string& DemoStoryteller::pick(const Words& words) { return words[random_.below(words.size())]; }

std::vector<std::string> DemoStoryteller::pick_apart(const Words& words, std::size_t count) {
  Words picked;
  while (picked.size() < count) {
    const std::string& word = pick(words);
    if (std::find(picked.begin(), picked.end(), word) == picked.end()) picked.push_back(word);
  }
  return picked;
}

/// A sentence that tells nothing of who had what.
std::string DemoStoryteller::talk(const std::vector<DemoOwner>& owners) {
  const DemoOwner& one = owners[random_.below(owners.size())];
  const DemoOwner& other = owners[random_.below(owners.size())];
  switch (random_.below(4)) {
    case 0:
      return " " + one.name + " said hello!";
    case 1:
      return " the " + one.animal + " " + pick(deeds()) + ".";
    case 2:
      return " " + one.name + " went to the " + pick(places()) + ".";
    default:
      return " the " + other.animal + " saw the " + one.animal + " at the " + pick(places()) + ".";
  }
}

/// A sentence whose last word the opening decides.
std::string DemoStoryteller::follow_up(const std::vector<DemoOwner>& owners) {
  const DemoOwner& one = owners[random_.below(owners.size())];
  switch (random_.below(3)) {
    case 0:
      return " the " + one.animal + " was " + one.color + ".";
    case 1:
      return " the " + one.animal + " belonged to " + one.name + ".";
    default:
      return " " + one.name + " fed the " + one.animal + ".";
  }
}

DemoStory DemoStoryteller::next() {
  DemoStory story;
  std::size_t count = 2 + random_.below(2);
  Words name = pick_apart(names(), count), animal = pick_apart(animals(), count), color = pick_apart(colors(), count);
  story.opening = "once";
  for (std::size_t i = 0; i < count; ++i) {
    story.owners.push_back({name[i], color[i], animal[i]});
    story.opening += " " + name[i] + " had a " + color[i] + " " + animal[i] + ".";
  }
  if (random_.below(2)) story.opening += talk(story.owners);
  for (std::uint64_t i = 0, n = 2 + random_.below(4); i < n; ++i)
    story.rest += random_.below(4) ? follow_up(story.owners) : talk(story.owners);
  return story;
}

std::vector<std::string> demo_vocabulary() {
  Words all{"once", ".", "!", "?"};
  for (const Words* words : {&names(), &animals(), &colors(), &places(), &deeds()})
    for (const std::string& word : *words) all.push_back(" " + word);
  for (const char* word :
       {"had", "a", "the", "was", "belonged", "to", "fed", "said", "hello", "went", "saw", "at", "who"})
    all.push_back(std::string(" ") + word);
  return all;
}

}  // namespace loragrad
