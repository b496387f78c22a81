#pragma once
#include <string>
#include <vector>

#include "app/adapters.h"
#include "app/inputs.h"

namespace loragrad {

/// The adapters of a conversation: those that were opened, and those that are active. The base is loaded once.
class ChatAdapters {
 public:
  /// Opens those of --adapter. Without a name all are active; where all have one, the first is.
  ChatAdapters(const Base& base, const std::vector<std::string>& arguments);

  const ActiveAdapters& active() const { return active_; }
  /// "a (0.5) + b", or "none: the base alone".
  std::string active_text() const;
  /// A line for each that was opened, with its name and folder.
  std::string list_text() const;
  /// Makes these active, and no other: "NAME[:WEIGHT]" of one that was opened, or "[NAME=]DIR[:WEIGHT]" to open one;
  /// "none" alone is the base. Errors leave all as it was.
  void choose(const std::vector<std::string>& words);

 private:
  struct Opened {
    std::string name, folder;
    Adapter adapter;
  };
  struct Chosen {
    std::size_t opened;
    double weight;
  };
  Chosen find_or_open(const std::string& word);
  std::size_t open(const AdapterArgument& argument);
  void activate(std::vector<Chosen> chosen);

  Base base_;
  std::vector<Opened> opened_;
  std::vector<Chosen> chosen_;
  ActiveAdapters active_;
};

}  // namespace loragrad
