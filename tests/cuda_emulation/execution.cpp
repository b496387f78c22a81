#include "tests/cuda_emulation/execution.h"

#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace cuda_emulation {
namespace {

constexpr std::size_t stack_bytes = 128 << 10, guard = 64;
constexpr unsigned char nan_byte = 0xff, guard_byte = 0xa5;

/// Tells the address sanitizer that another stack goes on.
struct StackSwitch {
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  const void* bottom = nullptr;
  std::size_t size = 0;
  void is_at(void* top, std::size_t bytes) {
    bottom = static_cast<char*>(top) - bytes;
    size = bytes;
  }
  void leave(const StackSwitch& to) { __sanitizer_start_switch_fiber(&fake, to.bottom, to.size); }
  void leave_for_good(const StackSwitch& to) { __sanitizer_start_switch_fiber(nullptr, to.bottom, to.size); }
  void arrive(StackSwitch* from) {
    __sanitizer_finish_switch_fiber(fake, from ? &from->bottom : nullptr, from ? &from->size : nullptr);
  }
#else
  void is_at(void*, std::size_t) {}
  void leave(const StackSwitch&) {}
  void leave_for_good(const StackSwitch&) {}
  void arrive(StackSwitch*) {}
#endif
};

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
  bool valid;
};

struct Fibre;

/// A thread of the block that runs.
struct Thread {
  Position position;
  int index = 0;
  Fibre* fibre = nullptr;  // once it has begun
  bool done = false;
  std::vector<std::vector<Copy>> copies;  // groups; the last is open

  void reset(const Position& where, int i) {
    position = where;
    index = i;
    fibre = nullptr;
    done = false;
    copies.clear();
  }
};

/// A stack on which one thread after the other runs.
struct Fibre {
  boost::context::fiber itself, scheduler;
  StackSwitch stack;
  Thread* thread = nullptr;
  std::exception_ptr failure;
};

/// Lanes that wait for each other.
struct Meeting {
  const char* what = nullptr;
  unsigned mask = 0, here = 0;
  void* brought[32] = {};
  std::vector<Thread*> waiting;
};

/// Thrown in threads that wait when their block has failed.
struct Cancelled {};

class Block {
 public:
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() {
    cancelled_ = true;
    for (const auto& fibre : fibres_) switch_to(*fibre);
  }
  void run(dim3 grid, dim3 size, uint3 index, std::size_t shared, const std::function<void()>& thread);
  Thread& current() { return *current_; }
  unsigned char* shared() { return shared_.data(); }
  void barrier();
  void meet(unsigned mask, const char* what, void* brought, void (*together)(void* const*));

 private:
  void resume(Thread& thread);
  void switch_to(Fibre& fibre);
  void suspend();
  void work(Fibre& fibre);
  [[noreturn]] void stuck();
  void check_guard();

  std::vector<Thread> threads_;
  std::deque<Thread*> ready_;
  std::vector<Thread*> at_barrier_;
  std::vector<std::vector<Meeting>> meetings_;  // of each warp
  std::vector<std::unique_ptr<Fibre>> fibres_;
  std::vector<Fibre*> idle_;
  std::vector<unsigned char> shared_;
  std::size_t shared_bytes_ = 0;
  const std::function<void()>* thread_ = nullptr;
  Thread* current_ = nullptr;
  bool cancelled_ = false;
  StackSwitch scheduler_;
  std::mt19937 order_{7};
};

thread_local std::unique_ptr<Block> block_of_this_thread;
Block& block() {
  if (!block_of_this_thread) block_of_this_thread = std::make_unique<Block>();
  return *block_of_this_thread;
}

void Block::work(Fibre& fibre) {
  while (true) {
    try {
      (*thread_)();
    } catch (const Cancelled&) {
      return;
    } catch (...) {
      fibre.failure = std::current_exception();
    }
    fibre.thread->done = true;
    try {
      suspend();
    } catch (const Cancelled&) {
      return;
    }
  }
}

void Block::resume(Thread& thread) {
  if (!thread.fibre) {
    if (idle_.empty()) {
      fibres_.push_back(std::make_unique<Fibre>());
      Fibre* fibre = fibres_.back().get();
      boost::context::protected_fixedsize_stack stacks(stack_bytes);
      boost::context::stack_context stack = stacks.allocate();
      fibre->stack.is_at(stack.sp, stack.size);
      fibre->itself =
          boost::context::fiber(std::allocator_arg, boost::context::preallocated(stack.sp, stack.size, stack), stacks,
                                [this, fibre](boost::context::fiber&& from) {
                                  fibre->stack.arrive(&scheduler_);
                                  fibre->scheduler = std::move(from);
                                  work(*fibre);
                                  fibre->stack.leave_for_good(scheduler_);
                                  return std::move(fibre->scheduler);
                                });
      idle_.push_back(fibre);
    }
    thread.fibre = idle_.back();
    idle_.pop_back();
    thread.fibre->thread = &thread;
  }
  current_ = &thread;
  Fibre& fibre = *thread.fibre;
  switch_to(fibre);
  if (!thread.done) return;
  idle_.push_back(&fibre);
  if (fibre.failure) std::rethrow_exception(std::exchange(fibre.failure, nullptr));
}

void Block::switch_to(Fibre& fibre) {
  scheduler_.leave(fibre.stack);
  fibre.itself = std::move(fibre.itself).resume();
  scheduler_.arrive(&fibre.stack);
}

void Block::suspend() {
  Fibre& fibre = *current_->fibre;
  fibre.stack.leave(scheduler_);
  fibre.scheduler = std::move(fibre.scheduler).resume();
  fibre.stack.arrive(&scheduler_);
  if (cancelled_) throw Cancelled();
}

void Block::run(dim3 grid, dim3 size, uint3 index, std::size_t shared, const std::function<void()>& thread) {
  std::size_t count = std::size_t{size.x} * size.y * size.z;
  threads_.resize(count);
  meetings_.assign((count + 31) / 32, {});
  at_barrier_.clear();
  ready_.clear();
  thread_ = &thread;
  shared_bytes_ = shared;
  shared_.resize(std::max(shared_.size(), shared + guard));
  std::memset(shared_.data(), nan_byte, shared);
  std::memset(shared_.data() + shared, guard_byte, guard);
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) {
    order[i] = i;
    auto at = static_cast<unsigned>(i);
    threads_[i].reset({{at % size.x, at / size.x % size.y, at / (size.x * size.y)}, index, size, grid},
                      static_cast<int>(i));
  }
  std::shuffle(order.begin(), order.end(), order_);
  for (std::size_t i : order) ready_.push_back(&threads_[i]);
  std::size_t done = 0;
  while (done < count) {
    if (ready_.empty()) stuck();
    Thread& next = *ready_.front();
    ready_.pop_front();
    resume(next);
    if (next.done) ++done;
  }
  check_guard();
}

void Block::check_guard() {
  for (std::size_t i = 0; i < guard; ++i)
    if (shared_[shared_bytes_ + i] != guard_byte)
      throw std::logic_error("shared memory was written " + std::to_string(i) + " bytes behind its end");
}

void Block::stuck() {
  std::string text = "threads wait for others that do not come: " + std::to_string(at_barrier_.size()) + " of " +
                     std::to_string(threads_.size()) + " at the block's barrier";
  for (std::size_t warp = 0; warp < meetings_.size(); ++warp)
    for (const Meeting& meeting : meetings_[warp])
      if (meeting.here)
        text += "; in warp " + std::to_string(warp) + " " + std::to_string(__builtin_popcount(meeting.here)) + " of " +
                std::to_string(__builtin_popcount(meeting.mask)) + " lanes at " + meeting.what;
  throw std::logic_error(text);
}

void Block::barrier() {
  at_barrier_.push_back(current_);
  if (at_barrier_.size() < threads_.size()) return suspend();
  // The last to come goes on; the others are ready in the order in which they came.
  at_barrier_.pop_back();
  ready_.insert(ready_.end(), at_barrier_.begin(), at_barrier_.end());
  at_barrier_.clear();
}

void Block::meet(unsigned mask, const char* what, void* brought, void (*together)(void* const*)) {
  auto warp = static_cast<std::size_t>(current_->index) / 32;
  unsigned bit = 1u << current_->index % 32;
  if (!(mask & bit)) throw std::logic_error(std::string(what) + ": the mask leaves out the lane that calls");
  auto& meetings = meetings_[warp];
  auto meeting = std::find_if(meetings.begin(), meetings.end(), [&](const Meeting& m) {
    return m.here != 0 && m.mask == mask && std::strcmp(m.what, what) == 0;
  });
  if (meeting == meetings.end())
    meeting = std::find_if(meetings.begin(), meetings.end(), [](const Meeting& m) { return m.here == 0; });
  if (meeting == meetings.end()) meeting = meetings.insert(meeting, Meeting());
  if (meeting->here == 0) {
    meeting->what = what;
    meeting->mask = mask;
    std::fill(std::begin(meeting->brought), std::end(meeting->brought), nullptr);
  }
  meeting->here |= bit;
  meeting->brought[current_->index % 32] = brought;
  if (meeting->here != mask) {
    meeting->waiting.push_back(current_);
    return suspend();
  }
  together(meeting->brought);
  ready_.insert(ready_.end(), meeting->waiting.begin(), meeting->waiting.end());
  meeting->waiting.clear();
  meeting->here = 0;
}

}  // namespace

const Position& position() { return block().current().position; }
int lane() { return block().current().index % 32; }
void barrier() { block().barrier(); }
void meet(unsigned mask, const char* what, void* brought, void (*together)(void* const* brought)) {
  block().meet(mask, what, brought, together);
}
unsigned char* shared_memory() { return block().shared(); }

void copy_later(void* to, const void* from, std::size_t bytes, bool valid) {
  auto& groups = block().current().copies;
  if (groups.empty()) groups.emplace_back();
  groups.back().push_back({to, from, bytes, valid});
}
void commit_copies() {
  auto& groups = block().current().copies;
  if (groups.empty()) groups.emplace_back();
  groups.emplace_back();
}
void wait_for_copies(int groups_left) {
  auto& groups = block().current().copies;
  auto committed = static_cast<std::ptrdiff_t>(groups.size()) - 1;
  std::ptrdiff_t landing = std::max<std::ptrdiff_t>(0, committed - groups_left);
  for (std::ptrdiff_t i = 0; i < landing; ++i)
    for (const Copy& copy : groups[static_cast<std::size_t>(i)]) {
      if (copy.valid)
        std::memcpy(copy.to, copy.from, copy.bytes);
      else
        std::memset(copy.to, 0, copy.bytes);
    }
  groups.erase(groups.begin(), groups.begin() + landing);
}

void run_grid(dim3 grid, dim3 size, std::size_t shared, const std::function<void()>& thread) {
  try {
    std::vector<std::size_t> order(std::size_t{grid.x} * grid.y * grid.z);
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    static thread_local std::mt19937 shuffled{11};
    std::shuffle(order.begin(), order.end(), shuffled);
    for (std::size_t i : order) {
      uint3 at{static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
               static_cast<unsigned>(i / grid.x / grid.y)};
      block().run(grid, size, at, shared, thread);
    }
  } catch (...) {
    block_of_this_thread.reset();  // unwinds the threads that wait
    throw;
  }
}

}  // namespace cuda_emulation
