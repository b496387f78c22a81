#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace loragrad {

/// The folder that holds `path`; "." for a plain name.
std::string parent_of(const std::string& path);

/// The last part of a path, by which people call it: "b" of "a/b", "a/b/" and "a/b/."; "" of "/".
std::string last_name(const std::string& path);

/// A name beside `path` that listings leave out: `.NAME` and `ending`. IoError where `path` ends in no name.
std::string hidden_sibling(const std::string& path, const std::string& ending);

/// Creates something new beside `path` and returns its name, `.NAME.tmp-PID` (`.NAME.tmp-PID.1` and on where that is
/// taken, as after a crash). `create` returns false with errno set; any errno but EEXIST is an IoError about `path`.
/// `kind` is "tmp" for what is not complete yet, "old" for what it takes the place of.
std::string make_sibling(const std::string& path, const std::function<bool(const std::string&)>& create,
                         const std::string& kind = "tmp");

/// Removes a file or folder, moved aside first: what is half removed would not be what it was. Nothing where it is not
/// there; what cannot be removed then stays aside. IoError where it cannot be moved.
void remove_whole(const std::string& path);

/// Whether make_sibling or OutputLock may have given a sibling of `path` this name.
bool is_left_over(const std::string& path, const std::string& name);

/// The same of a sibling of any path.
bool is_any_left_over(const std::string& name);

/// What is in a folder, but for what is_any_left_over. IoError where it cannot be read.
std::vector<std::filesystem::directory_entry> entries_of(const std::string& folder);

/// Removes from a folder what is_any_left_over, for who alone writes in it. What cannot be removed stays.
void clear_folder(const std::string& folder);

/// The folder meant by `path`: without a slash at its end, and where it is a link to a folder, that folder.
std::string resolved_folder(const std::string& path);

/// Removes the siblings that dead processes left beside `path`; for who holds its OutputLock. What one had moved aside
/// stays where nothing is in its place. What cannot be removed stays.
void clear_left_overs(const std::string& path);

/// Makes a file's bytes durable where it is there, and a regular file. IoError when the system cannot.
void sync_file(const std::string& path);

/// Makes renames and new names in `folder` durable. IoError when the system cannot; a file system that knows no such
/// call is let pass.
void sync_folder(const std::string& folder);

}  // namespace loragrad
