#include "app/demo/corpus.h"

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

/// Tells nothing of who had what.
DemoSentence DemoStoryteller::talk(const std::vector<DemoOwner>& owners) {
  const DemoOwner& one = owners[random_.below(owners.size())];
  switch (random_.below(3)) {
    case 0:
      return {" " + one.name, " said hello!"};
    case 1:
      return {" " + one.name, " asked why?"};
    default:
      return {" " + one.name, " went to the " + pick(places()) + "."};
  }
}

std::string DemoStory::subject(std::size_t i) const {
  const DemoOwner& one = owners[i % owners.size()];
  return " the " + one.animal + " of " + one.name;
}

/// Sentences of which the opening, or the sentence before, decides some words: seeing is always mutual.
void DemoStoryteller::follow_up(DemoStory& story) {
  std::size_t i = random_.below(story.owners.size());
  std::string one = story.subject(i), other = story.subject(i + 1);
  switch (random_.below(4)) {
    case 0:
      return story.rest.push_back({one, " was " + story.owners[i].color + "."});
    case 1:
      return story.rest.push_back({one, " " + pick(deeds()) + "."});
    default:
      story.rest.push_back({one, " saw" + other + "."});
      story.rest.push_back({other, " saw" + one + "."});
  }
}

DemoStory DemoStoryteller::next() {
  DemoStory story;
  std::size_t count = 2 + random_.below(2);
  Words name = pick_apart(names(), count), animal = pick_apart(animals(), count), color = pick_apart(colors(), count);
  story.opening = "once";
  for (std::size_t i = 0; i < count; ++i) {
    story.owners.push_back({name[i], color[i], animal[i]});
    story.opening += " the " + animal[i] + " of " + name[i] + " was " + color[i] + ".";
  }
  if (random_.below(2)) story.opening += talk(story.owners).text();
  for (std::uint64_t i = 0, n = 3 + random_.below(3); i < n; ++i) {
    if (random_.below(10))
      follow_up(story);
    else
      story.rest.push_back(talk(story.owners));
  }
  return story;
}

std::vector<std::string> demo_vocabulary() {
  Words all{"once", ".", "!", "?"};
  for (const Words* words : {&names(), &animals(), &colors(), &places(), &deeds()})
    for (const std::string& word : *words) all.push_back(" " + word);
  for (const char* word : {"the", "of", "was", "saw", "said", "hello", "asked", "why", "went", "to", "who"})
    all.push_back(std::string(" ") + word);
  return all;
}

}  // namespace loragrad
