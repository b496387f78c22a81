#include "data/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <queue>

#include "engine/error.h"
#include "io/utf8.h"

namespace loragrad {
namespace {

std::uint64_t key_of(TokenId left, TokenId right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
}

// A token of the word being merged, in a doubly linked list by index; id -1 once merged into its left neighbour.
struct Symbol {
  TokenId id;
  std::int32_t previous, next;
};

// A pair that may be merged: its rank above the place of its left symbol, so that the least is the first to merge.
using Candidate = std::uint64_t;
Candidate candidate(std::uint32_t rank, std::int32_t at) {
  return std::uint64_t{rank} << 32 | static_cast<std::uint32_t>(at);
}

}  // namespace

MergeTable::MergeTable(std::size_t count) : slots_(std::bit_ceil(std::max<std::size_t>(2 * count, 2))) {}

std::size_t MergeTable::slot_of(std::uint64_t key) const {
  std::size_t mask = slots_.size() - 1;
  std::size_t at = static_cast<std::size_t>((key * 0x9e3779b97f4a7c15u) >> 32) & mask;
  while (slots_[at].key != key && slots_[at].key != empty) at = (at + 1) & mask;
  return at;
}

void MergeTable::add(TokenId left, TokenId right, Merge merge) {
  std::uint64_t key = key_of(left, right);
  slots_[slot_of(key)] = {key, merge};
}

const MergeTable::Merge* MergeTable::find(TokenId left, TokenId right) const {
  const Slot& slot = slots_[slot_of(key_of(left, right))];
  return slot.key == empty ? nullptr : &slot.merge;
}

std::vector<TokenId> Bpe::characters(std::string_view word, std::vector<TextSpan>* spans) const {
  std::vector<TokenId> ids;
  ids.reserve(word.size());
  auto add = [&](TokenId id, TextSpan span) {
    ids.push_back(id);
    if (spans) spans->push_back(span);
  };
  std::optional<TextSpan> pending;  // an unknown token, held back to be fused with the next
  for (std::size_t at = 0; at < word.size();) {
    std::size_t size = code_point_at(word, at).size;
    TextSpan span{at, at + size};
    std::string_view character = word.substr(at, size);
    std::string affixed;
    if ((!prefix.empty() && at > 0) || (!suffix.empty() && at + size == word.size())) {
      affixed = (at > 0 ? prefix : "") + std::string(character) + (at + size == word.size() ? suffix : "");
      character = affixed;
    }
    at += size;
    if (auto id = vocabulary.find(character)) {
      if (pending) add(*unknown, *pending);
      pending.reset();
      add(*id, span);
      continue;
    }
    auto byte_token = [&](char c) { return byte_tokens[static_cast<unsigned char>(c)]; };
    if (!byte_tokens.empty() &&
        std::all_of(character.begin(), character.end(), [&](char c) { return byte_token(c) >= 0; })) {
      // Goes before an unknown token that is held back: the library does so too.
      for (char c : character) add(byte_token(c), span);
      continue;
    }
    if (!unknown) continue;
    if (pending && !fuse_unknown) add(*unknown, *pending);
    pending = pending && fuse_unknown ? TextSpan{pending->begin, span.end} : span;
  }
  if (pending) add(*unknown, *pending);
  return ids;
}

void Bpe::encode(std::string_view word, std::vector<TokenId>& out, std::vector<TextSpan>* spans) const {
  if (ignore_merges) {
    if (auto id = vocabulary.find(word)) {
      out.push_back(*id);
      if (spans) spans->push_back({0, word.size()});
      return;
    }
  }
  std::vector<TextSpan> places;  // of the characters' tokens, if asked
  std::vector<TokenId> ids = characters(word, spans ? &places : nullptr);
  if (ids.size() > std::numeric_limits<std::int32_t>::max())
    throw InputError("text: expected at most 2^31 characters without a place to split, found more");
  std::int32_t count = static_cast<std::int32_t>(ids.size());
  std::vector<Symbol> symbols;
  symbols.reserve(ids.size());
  for (std::int32_t i = 0; i < count; ++i)
    symbols.push_back({ids[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  auto symbol = [&](std::int32_t at) -> Symbol& { return symbols[static_cast<std::size_t>(at)]; };

  std::vector<Candidate> first;
  first.reserve(ids.size());
  for (std::int32_t i = 0; i + 1 < count; ++i)
    if (const auto* merge = merges.find(symbol(i).id, symbol(i + 1).id)) first.push_back(candidate(merge->rank, i));
  std::priority_queue queue(std::greater<Candidate>{}, std::move(first));
  auto consider = [&](std::int32_t at) {
    if (at < 0 || symbol(at).next < 0) return;
    if (const auto* merge = merges.find(symbol(at).id, symbol(symbol(at).next).id))
      queue.push(candidate(merge->rank, at));
  };
  while (!queue.empty()) {
    std::uint32_t rank = static_cast<std::uint32_t>(queue.top() >> 32);
    std::int32_t at = static_cast<std::int32_t>(queue.top() & 0x7fffffff);
    queue.pop();
    Symbol& left = symbol(at);
    if (left.id < 0 || left.next < 0) continue;
    Symbol& right = symbol(left.next);
    const auto* merge = merges.find(left.id, right.id);
    if (!merge || merge->rank != rank) continue;  // one of the two has merged with another since
    left.id = merge->id;
    right.id = -1;
    left.next = right.next;
    if (right.next >= 0) symbol(right.next).previous = at;
    consider(left.previous);
    consider(at);
  }
  for (std::int32_t at = 0; at >= 0 && at < count; at = symbol(at).next) {
    out.push_back(symbol(at).id);
    if (!spans) continue;
    // A symbol has merged with all up to the next; unknown and byte tokens may have changed places.
    std::size_t end = static_cast<std::size_t>(symbol(at).next < 0 ? count : symbol(at).next);
    TextSpan span = places[static_cast<std::size_t>(at)];
    for (std::size_t i = static_cast<std::size_t>(at) + 1; i < end; ++i)
      span = {std::min(span.begin, places[i].begin), std::max(span.end, places[i].end)};
    spans->push_back(span);
  }
}

}  // namespace loragrad
