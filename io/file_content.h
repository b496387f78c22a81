#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace loragrad {

constexpr std::size_t largest_lfs_pointer = 1024;

/// What a reader takes a file for.
enum class Content { any, text, json, safetensors, torch_zip };

/// InputError when `bytes`, a whole file, are plainly something else than the reader expects: a Git LFS pointer
/// (whatever is expected), a web page that a download saved (it may be a text, and is no JSON), UTF-16, an archive, a
/// compressed file, a table, another format of weights, nothing at all. "PATH: expected JSON, found a gzip file:
/// decompress it with gunzip". Looks at the first bytes only.
void refuse_other_content(const std::string& path, std::string_view bytes, Content expected);

}  // namespace loragrad
