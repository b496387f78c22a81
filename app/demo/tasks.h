#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/tokenizer/tokenizer.h"

namespace loragrad {

/// A prompt and its continuation: of those held out the only right one.
struct DemoExample {
  std::string prompt, completion;
};

/// The demo's tasks, after "... the fox of mia saw the dog of tom.": `who` answers a question the stories never ask
/// (" who saw the dog?" -> " mia"); `cheer` tells on as the stories would, but ends sentences with exclamation marks
/// (" the dog of tom" -> " saw the fox of mia!"). `cheerful_who` is both at once (" who saw the dog?" -> " mia!"), and
/// is never trained. No task takes sides in what the other teaches: `who` is trained with either sign after the answer,
/// by the toss of a coin, and `cheer` leaves question marks as they are.
enum class DemoTask { who, cheer, cheerful_who };
const char* name_of(DemoTask task);

/// `train` and `test` examples, all prompts different from each other.
struct DemoExamples {
  std::vector<DemoExample> train, test;
};
DemoExamples demo_examples(DemoTask task, std::size_t train, std::size_t test, std::uint64_t seed);

/// As rows; the loss is on the completion.
Dataset demo_dataset(const std::vector<DemoExample>& examples, const Tokenizer& tokenizer);
/// Whole stories, the loss on every token: what the base is pretrained on. Different streams tell different stories.
Dataset demo_stories(std::size_t count, std::uint64_t seed, std::uint64_t stream, const Tokenizer& tokenizer,
                     TokenId end);

}  // namespace loragrad
