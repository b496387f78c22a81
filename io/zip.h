#pragma once
// Threads: values and functions of their arguments alone; any thread may use them.
#include <cstdint>
#include <string>
#include <vector>

#include "io/mapped_file.h"

namespace loragrad {

/// A file in an archive: its bytes lie at [begin, begin + size) of the archive's.
struct ZipEntry {
  std::string name;
  std::uint64_t begin = 0, size = 0;
};

/// The files of a zip archive whose content is stored as it is (PKWARE's APPNOTE 6.3.9, with zip64), in the order of its
/// directory. InputError for one that is compressed or encrypted, is named twice, shares bytes with another or with the
/// directory, and for a directory that does not end where its end says: nothing is guessed of a damaged archive.
std::vector<ZipEntry> read_zip(const MappedFile& file);

}  // namespace loragrad
