#include "app/paths.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "app/terminal/console.h"
#include "engine/error.h"
#include "io/json.h"
#include "io/siblings.h"
#include "models/files/model_files.h"

namespace loragrad {
namespace {

namespace fs = std::filesystem;

/// Of a file or folder, by whatever name.
using FileId = std::pair<dev_t, ino_t>;

std::optional<FileId> id_of(const fs::path& path, bool follow = true) {
  struct stat status {};
  if ((follow ? ::stat : ::lstat)(path.c_str(), &status) != 0) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

/// Without links, `.` and `..`, as far as it exists. A link that leads nowhere is followed too: writing would.
fs::path real_path(const fs::path& path) {
  std::error_code error;
  fs::path at = fs::absolute(path, error);
  for (int links = 0; links < 40 && fs::is_symlink(at, error) && !fs::exists(at, error); ++links)
    at = at.parent_path() / fs::read_symlink(at, error);
  fs::path real = fs::weakly_canonical(at, error);
  if (error) real = at.lexically_normal();
  return real.has_filename() ? real : real.parent_path();
}

/// Where something is, or would be.
struct Place {
  explicit Place(const fs::path& path) : real(real_path(path)), id(id_of(real)) {
    for (fs::path at = real; at != at.root_path();) {
      at = at.parent_path();
      if (auto above = id_of(at)) folders.insert(*above);
    }
  }
  bool is(const Place& other) const { return real == other.real || (id && id == other.id); }
  bool within(const Place& folder) const {
    if (folder.id && folders.contains(*folder.id)) return true;
    auto [rest, end] = std::mismatch(folder.real.begin(), folder.real.end(), real.begin(), real.end());
    return rest == folder.real.end() && end != real.end();
  }

  fs::path real;
  std::optional<FileId> id;
  std::set<FileId> folders;  ///< all that hold it
};

/// Names that folders of models, adapters and data are read by.
bool is_read_by_name(const fs::path& name) {
  static const std::set<std::string> extensions{".safetensors", ".bin", ".gguf", ".npz", ".json", ".jinja", ".model"};
  return extensions.contains(name.extension()) || name == "train.jsonl" || name == "valid.jsonl" ||
         name == "test.jsonl" ||
         std::find(model_companions.begin(), model_companions.end(), name) != model_companions.end();
}

/// An input: where its path leads, the link that it may be, and for a folder the files that it is read by.
struct Input {
  explicit Input(const InputPath& input)
      : label("--" + input.flag + " " + escaped(input.path, 400)), place(input.path), places{place} {
    std::error_code error;
    fs::path given = fs::absolute(input.path, error);
    if (fs::is_symlink(given, error)) {
      Place link(given.parent_path());
      link.real /= given.filename();
      if (link.id) link.folders.insert(*link.id);
      link.id = id_of(given, false);
      places.push_back(std::move(link));
    }
    is_folder = fs::is_directory(place.real, error);
    for (fs::directory_iterator at(place.real, error), end; is_folder && !error && at != end; at.increment(error))
      if (is_read_by_name(at->path().filename())) places.emplace_back(at->path());
  }

  std::string label;
  Place place;
  std::vector<Place> places;  ///< of all that is read
  bool is_folder = false;
};

class Checked {
 public:
  explicit Checked(const OutputPath& output) : output_(output), place_(output.path) {
    std::error_code error;
    if (is_folder())
      for (fs::directory_iterator at(place_.real, error), end; !error && at != end; at.increment(error))
        if (auto id = id_of(at->path(), false)) holds_.insert(*id);
  }

  void against(const Input& input) const {
    for (const Place& read : input.places) {
      if (place_.is(read))
        refuse("another path than what is read", "which is " + std::string(read.is(input.place) ? "" : "a file of "),
               input.label);
      if (is_folder() && (read.within(place_) || (read.id && holds_.contains(*read.id))))
        refuse("a folder without what is read, as it is replaced whole", "which holds ", input.label);
      for (fs::path at = read.real; is_folder() && at != at.root_path(); at = at.parent_path())
        if (at.parent_path() == place_.real.parent_path() && is_left_over(place_.real, at.filename()))
          refuse("another name", "beside which a dead run left ", input.label);
    }
    if (input.is_folder && is_read_by_name(place_.real.filename()) &&
        (place_.real.parent_path() == input.place.real || id_of(place_.real.parent_path()) == input.place.id))
      refuse("a path that is not read", "which would become part of ", input.label);
  }

  void against(const Checked& other) const {
    std::string label = "--" + other.output_.flag;
    if (place_.is(other.place_)) refuse("another path than " + label, "which is the same", "");
    if (other.is_folder() && (place_.within(other.place_) || (place_.id && other.holds_.contains(*place_.id))))
      refuse("a path outside " + label + ", which is replaced whole", "", "");
    if (other.is_folder() && place_.real.parent_path() == other.place_.real.parent_path() &&
        is_left_over(other.place_.real, place_.real.filename()))
      refuse("another name", "which is kept for what is not complete of ", label);
  }

  void against_standard_descriptors() const {
    for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      struct stat status {};
      if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && place_.id == FileId{status.st_dev, status.st_ino})
        refuse("a file of its own", "the file of standard descriptor " + std::to_string(fd), "");
    }
  }

  void against_current_folder() const {
    Place here(".");
    if (is_folder() && (here.is(place_) || here.within(place_)))
      refuse("a folder that can be replaced", here.is(place_) ? "the current folder" : "which holds the current folder",
             "");
  }

 private:
  bool is_folder() const { return output_.kind == OutputPath::Kind::folder; }
  [[noreturn]] void refuse(const std::string& expected, const std::string& why, const std::string& what) const {
    std::string comma = why.empty() ? "" : ", ";
    throw UsageError(fmt::format("--{}: expected {}, found {}{}{}{}", output_.flag, expected,
                                 escaped(output_.path, 400), comma, why, what));
  }

  OutputPath output_;
  Place place_;
  std::set<FileId> holds_;  // what lies directly in an output folder
};

}  // namespace

void require_apart(const std::vector<OutputPath>& outputs, const std::vector<InputPath>& inputs) {
  std::vector<Checked> all(outputs.begin(), outputs.end());
  for (const Checked& output : all) {
    output.against_current_folder();
    output.against_standard_descriptors();
  }
  for (const InputPath& path : inputs) {
    Input input(path);
    for (const Checked& output : all) output.against(input);
  }
  for (const Checked& output : all)
    for (const Checked& other : all)
      if (&output != &other) output.against(other);
}

std::string folder_path(const std::string& path) {
  std::string name = fs::path(path).filename().string();
  if (name != "." && name != "..") return path;
  return real_path(path).string();
}

bool same_path(const std::string& a, const std::string& b) { return Place(a).is(Place(b)); }

void commit_output(OutputFolder& folder, std::string& output) {
  std::string place = folder.commit();
  if (place != output)
    warn(output + ": something came into this folder meanwhile, which stays; the new output is " + place);
  output = place;
}

}  // namespace loragrad
