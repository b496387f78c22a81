// Replaces operator new and delete of the program: small objects come from pages of their own.
//
// While a forward pass runs, the tape grows by many small objects that stay, and between them the GEMM library takes
// buffers of megabytes from the heap and gives them back. On one heap the objects settle where a buffer was, the next
// buffer does not fit there any more, and the heap grows by gaps that nobody uses: 70 MiB on OPT-125M.

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

namespace {

// Objects of up to `largest` bytes in classes of `step`; a page holds objects of one class, of which `class_of` tells.
constexpr std::size_t largest = 512, step = 16, classes = largest / step;
constexpr std::size_t page = std::size_t{64} << 10, most_pages = std::size_t{1} << 15;

struct Region {
  std::byte* begin = nullptr;
  std::size_t pages = 0;
  bool has(const void* object) const {
    return reinterpret_cast<std::uintptr_t>(object) - reinterpret_cast<std::uintptr_t>(begin) < pages * page;
  }
};

Region reserve() {
  std::size_t count = most_pages;
  for (auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
    rlimit limit{};
    if (::getrlimit(resource, &limit) == 0) count = std::min<std::size_t>(count, limit.rlim_cur / 16 / page);
  }
  void* memory =
      mmap(nullptr, count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? Region{} : Region{static_cast<std::byte*>(memory), count};
}

/// 2 GiB of addresses, which cost nothing until they are touched, or a 16th of what a limit allows; none where they are
/// not to be had.
const Region& region() {
  static const Region memory = reserve();
  return memory;
}

constinit std::array<std::uint8_t, most_pages> class_of{};

/// The calling thread's free objects. One that another thread made joins this thread's.
struct Free {
  Free* next;
};
constinit thread_local std::array<Free*, classes> free_objects{};
/// The part of the class's newest page that has not been handed out yet.
struct Fresh {
  std::byte* begin;
  std::byte* end;
};
constinit thread_local std::array<Fresh, classes> fresh_objects{};

/// The rest of a page, noted at its beginning.
struct Rest {
  Rest* next;
  std::byte* end;
};
static_assert(sizeof(Rest) <= step);

/// Pages from next_page on, and what threads left that have ended: a run may have one for each checkpoint.
struct Left {
  std::mutex mutex;
  std::size_t next_page = 0;
  std::array<Free*, classes> objects{};
  std::array<Rest*, classes> rests{};
};
constinit Left left;

/// At the end of the thread.
struct HandBack {
  ~HandBack() {
    std::lock_guard lock(left.mutex);
    for (std::size_t i = 0; i < classes; ++i) {
      while (Free* object = free_objects[i]) {
        free_objects[i] = object->next;
        left.objects[i] = new (object) Free{left.objects[i]};
      }
      if (auto [begin, end] = std::exchange(fresh_objects[i], {}); begin != end)
        left.rests[i] = new (begin) Rest{left.rests[i], end};
    }
  }
};

/// Gives the thread objects of the class, those that others left or a new page; false where there is none.
bool refill(std::size_t index) {
  static thread_local HandBack at_the_end;
  static_cast<void>(at_the_end);
  std::lock_guard lock(left.mutex);
  free_objects[index] = std::exchange(left.objects[index], nullptr);
  if (free_objects[index]) return true;
  if (Rest* rest = left.rests[index]) {
    left.rests[index] = rest->next;
    fresh_objects[index] = {reinterpret_cast<std::byte*>(rest), rest->end};
    return true;
  }
  auto [memory, pages] = region();
  if (left.next_page >= pages) return false;
  std::size_t at = left.next_page++;
  class_of[at] = static_cast<std::uint8_t>(index);
  fresh_objects[index] = {memory + at * page, memory + (at + 1) * page};
  return true;
}

void* small(std::size_t bytes) {
  std::size_t index = bytes == 0 ? 0 : (bytes - 1) / step, size = (index + 1) * step;
  auto has_room = [&] {
    return static_cast<std::size_t>(fresh_objects[index].end - fresh_objects[index].begin) >= size;
  };
  if (!free_objects[index] && !has_room() && !refill(index)) return nullptr;
  if (Free* object = free_objects[index]) {
    free_objects[index] = object->next;
    return object;
  }
  return std::exchange(fresh_objects[index].begin, fresh_objects[index].begin + size);
}

}  // namespace

void* operator new(std::size_t bytes) {
  if (bytes <= largest)
    if (void* object = small(bytes)) return object;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

void operator delete(void* object) noexcept {
  const Region& small = region();
  if (!small.has(object)) return std::free(object);
  auto at = static_cast<std::size_t>(static_cast<std::byte*>(object) - small.begin) / page;
  Free*& first = free_objects[class_of[at]];
  first = new (object) Free{first};
}

void operator delete(void* object, std::size_t) noexcept { operator delete(object); }
