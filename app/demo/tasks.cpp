#include "app/demo/tasks.h"

#include <set>

#include "app/demo/corpus.h"

namespace loragrad {
namespace {

/// Streams of the seed: tasks have their own, apart from the stories' (from 0).
constexpr std::uint64_t first_task_stream = 1000;

/// A story as it is told, but from some subject on with exclamation marks.
DemoExample cheerful_story(DemoStoryteller& teller) {
  DemoStory story = teller.next();
  DemoExample example{story.opening, ""};
  std::size_t from = teller.below(story.rest.size());
  for (std::size_t i = 0; i < story.rest.size(); ++i) {
    (i <= from ? example.prompt : example.completion) += story.rest[i].subject;
    (i < from ? example.prompt : example.completion) += story.rest[i].predicate;
    if (i >= from && example.completion.back() == '.') example.completion.back() = '!';
  }
  return example;
}

/// What is held out: one completion is right, as seeing is mutual.
DemoExample question(DemoTask task, DemoStoryteller& teller) {
  DemoStory story = teller.next();
  std::size_t i = teller.below(story.owners.size());
  std::string one = story.subject(i), other = story.subject(i + 1), scene = story.opening + one + " saw" + other + ".";
  if (task == DemoTask::cheer) return {scene + other, " saw" + one + "!"};
  return {scene + " who saw the " + story.owners[(i + 1) % story.owners.size()].animal + "?",
          " " + story.owners[i].name + (task == DemoTask::who ? "" : "!")};
}

/// What is trained on.
DemoExample lesson(DemoTask task, DemoStoryteller& teller) {
  if (task == DemoTask::cheer) return cheerful_story(teller);
  DemoExample example = question(task, teller);
  example.completion += teller.below(2) ? "!" : ".";
  return example;
}

void add_row(Dataset& set, Row row) {
  set.tokens += static_cast<std::int64_t>(row.input_ids.size());
  set.supervised_tokens += supervised_tokens(row);
  set.rows.push_back(std::move(row));
}

}  // namespace

const char* name_of(DemoTask task) {
  switch (task) {
    case DemoTask::who:
      return "who";
    case DemoTask::cheer:
      return "cheer";
    default:
      return "cheerful who";
  }
}

DemoExamples demo_examples(DemoTask task, std::size_t train, std::size_t test, std::uint64_t seed) {
  DemoStoryteller teller(seed, first_task_stream + static_cast<std::uint64_t>(task));
  DemoExamples examples;
  std::set<std::string> seen;
  while (seen.size() < train + test) {
    bool held_out = examples.test.size() < test;
    DemoExample example = held_out ? question(task, teller) : lesson(task, teller);
    if (!seen.insert(example.prompt).second) continue;
    (held_out ? examples.test : examples.train).push_back(std::move(example));
  }
  return examples;
}

Dataset demo_dataset(const std::vector<DemoExample>& examples, const Tokenizer& tokenizer) {
  Dataset set;
  set.format = "prompt/completion";
  for (const DemoExample& example : examples) {
    Row row{tokenizer.encode(example.prompt), {}};
    row.labels.assign(row.input_ids.size(), no_label);
    std::vector<TokenId> completion = tokenizer.encode(example.completion);
    for (std::vector<TokenId>* ids : {&row.input_ids, &row.labels})
      ids->insert(ids->end(), completion.begin(), completion.end());
    add_row(set, std::move(row));
  }
  return set;
}

Dataset demo_stories(std::size_t count, std::uint64_t seed, std::uint64_t stream, const Tokenizer& tokenizer,
                     TokenId end) {
  DemoStoryteller teller(seed, stream);
  Dataset set;
  set.format = "text";
  for (std::size_t i = 0; i < count; ++i) {
    DemoStory story = teller.next();
    std::string text = story.opening;
    for (const DemoSentence& sentence : story.rest) text += sentence.text();
    Row row{tokenizer.encode(text), {}};
    row.input_ids.push_back(end);
    row.labels = row.input_ids;
    add_row(set, std::move(row));
  }
  return set;
}

}  // namespace loragrad
