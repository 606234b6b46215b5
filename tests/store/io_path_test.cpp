// SPDX-License-Identifier: MIT OR Apache-2.0
// Reads, writes and discards must neither allocate nor fault: on a machine that swaps to us, either
// could wait for memory that only we can free.
//
// A program of its own, because it puts counting functions in the place of operator new and, by the
// linker's --wrap, of malloc, calloc, realloc and mmap in all code of ours.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <optional>
#include <random>
#include <vector>

#include "store/pages.h"
#include "store/recompressor.h"
#include "store/store_inspector.h"
#include "store/wordy_page.h"

namespace {
// volatile: the compiler knows malloc() and takes it that it looks at nothing of ours.
thread_local volatile bool counting = false;
thread_local volatile unsigned long allocations = 0;
void count_allocation() {
  if (counting) allocations = allocations + 1;
}
}  // namespace

extern "C" {
void* __real_malloc(std::size_t size);
void* __real_calloc(std::size_t count, std::size_t size);
void* __real_realloc(void* pointer, std::size_t size);
void* __real_mmap(void* at, std::size_t length, int protection, int flags, int fd, off_t offset);
void* __wrap_malloc(std::size_t size) {
  count_allocation();
  return __real_malloc(size);
}
void* __wrap_calloc(std::size_t count, std::size_t size) {
  count_allocation();
  return __real_calloc(count, size);
}
void* __wrap_realloc(void* pointer, std::size_t size) {
  count_allocation();
  return __real_realloc(pointer, size);
}
void* __wrap_mmap(void* at, std::size_t length, int protection, int flags, int fd, off_t offset) {
  count_allocation();
  return __real_mmap(at, length, protection, flags, fd, offset);
}
}

// Not inlined: g++ takes an inlined free() of what an uninlined operator new gave for a mistake.
[[gnu::noinline]] void* operator new(std::size_t size) {
  count_allocation();
  if (void* const memory = __real_malloc(size)) return memory;
  std::abort();
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  count_allocation();
  if (void* const memory = std::aligned_alloc(static_cast<std::size_t>(alignment),
                                              (size + static_cast<std::size_t>(alignment) - 1) /
                                                  static_cast<std::size_t>(alignment) *
                                                  static_cast<std::size_t>(alignment))) {
    return memory;
  }
  std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace pleat::store {
namespace {

// Faults of this thread so far, minor and major.
long faults() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_minflt + usage.ru_majflt;
}

struct Spent {
  unsigned long allocations;
  long faults;
};

// `body` run with allocations and faults counted.
template <typename Body>
Spent spent_by(Body body) {
  const long faults_before = faults();
  allocations = 0;
  counting = true;
  body();
  counting = false;
  return {allocations, faults() - faults_before};
}

// The least of what `body` spends on each of three fresh stores, which `renew` makes. The kernel
// may move a page, or have dropped one of the program's, which is a fault and no doing of ours;
// what we do is done each time.
template <typename Renew, typename Body>
Spent least_spent_by(Renew renew, Body body) {
  Spent least = spent_by(body);
  for (int i = 0; i < 2; ++i) {
    renew();
    const Spent spent = spent_by(body);
    least.allocations = std::max(least.allocations, spent.allocations);
    least.faults = std::min(least.faults, spent.faults);
  }
  return least;
}

class IoPath : public testing::Test {
 protected:
  void SetUp() override { renew(); }
  void renew() {
    session_.reset();
    StoreOptions options = small_store(kSlots);
    options.reserve_bytes = std::uint64_t{64} << 20;
    store_ = make_store(options);
    session_ = make_session(*store_);
    pages_.clear();
    for (std::uint64_t i = 0; i < 64; ++i) {
      pages_.push_back(i % 8 == 0   ? random_page(i)
                       : i % 8 == 1 ? same_filled_page(i)
                       : i % 8 == 2 ? same_filled_page(i * 0x0123'4567'89AB'CDEF)
                                    : mixed_page(i, i * 55));
    }
    // The first fault of a lazily bound function, of the stack and of the test's own pages.
    (void)spent_by([this] { use_all(kSlots - 16, kSlots); });
  }
  void use_all(std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t slot = first; slot < end; ++slot) {
      failures_ += session_->write(slot, pages_[slot % 64].data()) != StoreStatus::kOk;
    }
    for (std::uint64_t slot = first; slot < end; ++slot) {
      failures_ += session_->read(slot, out_.data()) != StoreStatus::kOk;
      failures_ += out_ != pages_[slot % 64];
    }
    for (std::uint64_t slot = first; slot < end; slot += 3) {
      failures_ +=
          session_->write_part(slot, 512, pages_[slot / 3 % 64].data(), 1024) != StoreStatus::kOk;
    }
    session_->discard(first, end - first);
  }

  static constexpr std::uint64_t kSlots = 8192;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Store::Session> session_;
  std::vector<TestPage> pages_;
  TestPage out_{};
  unsigned failures_ = 0;
};

TEST_F(IoPath, TheCountersCount) {
  // volatile: a pair that nobody looks at may be left out by the compiler.
  EXPECT_GT(spent_by([] {
              std::vector<int>* volatile numbers = new std::vector<int>(100);
              delete numbers;
            }).allocations,
            0u);
  EXPECT_GT(spent_by([] {
              void* volatile memory = std::malloc(100);
              std::free(memory);
            }).allocations,
            0u);
  const Spent spent = spent_by([] {
    void* const fresh =
        mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (std::size_t at = 0; at < 1 << 20; at += 4096) static_cast<volatile char*>(fresh)[at] = 1;
    munmap(fresh, 1 << 20);
  });
  EXPECT_GT(spent.allocations, 0u);
  EXPECT_GT(spent.faults, 0);
}

TEST_F(IoPath, NothingIsAllocatedAndNothingFaults) {
  const Spent spent = least_spent_by([this] { renew(); }, [this] { use_all(0, kSlots); });
  EXPECT_EQ(failures_, 0u);
  EXPECT_EQ(spent.allocations, 0u);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // Sanitisers have shadow memory that faults on its own.
  EXPECT_EQ(spent.faults, 0);
#endif
}

TEST_F(IoPath, FailuresAllocateNothingEither) {
  store_->set_mem_limit(1);
  const Spent spent = spent_by([this] {
    for (std::uint64_t slot = 0; slot < 200; ++slot) {
      (void)session_->write(slot, pages_[slot % 64].data());
      (void)session_->read(slot, out_.data());
    }
  });
  EXPECT_GT(store_->stats().failed_writes, 100u);
  EXPECT_EQ(spent.allocations, 0u);
}

TEST_F(IoPath, CompactionAllocatesNothingAndDoesNotFault) {
  std::optional<Compactor> compactor;
  Counters::Count freed{0};
  const auto prepare = [&] {
    compactor.reset();
    renew();
    for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
      failures_ += session_->write(slot, pages_[slot % 64].data()) != StoreStatus::kOk;
    }
    // Too few for the store's own thread to begin.
    for (std::uint64_t slot = 0; slot < kSlots; slot += 128) {
      session_->discard(slot + slot / 128 % 128, 1);
    }
    Store::State& state = StoreInspector::state(*store_);
    compactor.emplace(state.slots, state.pool, state.compact_bell, freed);
    EXPECT_EQ(store_->stats().pages_compacted, 0u);
  };
  prepare();
  const Spent spent = least_spent_by(prepare, [&] { compactor->compact_across_classes(); });
  EXPECT_EQ(failures_, 0u);
  EXPECT_GT(compactor->freed_pages(), 0u);
  EXPECT_EQ(spent.allocations, 0u);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_EQ(spent.faults, 0);
#endif
}

TEST_F(IoPath, RecompressionAllocatesNothing) {
  StoreOptions options = small_store(64);
  options.codec = "lz4:fast";
  options.recompress = "lz4hc";
  const auto store = make_store(options);
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 64; ++slot) {
    ASSERT_EQ(session->write(slot, wordy_page(slot, kPageSize).data()), StoreStatus::kOk);
  }
  RecompressResult result;
  const Spent spent =
      spent_by([&] { result = StoreInspector::state(*store).recompressor->work({}); });
  EXPECT_EQ(result.pages_recompressed, 64u);
  EXPECT_EQ(spent.allocations, 0u);
}

}  // namespace
}  // namespace pleat::store
