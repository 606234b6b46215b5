// SPDX-License-Identifier: MIT OR Apache-2.0
// What happens when there is no more: at the limit and without memory the old page must stay, and
// what is asked for in vain must be refused in words that say what to do.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "codec/zstd/canned_dictionary.h"
#include "store/pages.h"
#include "store/store_inspector.h"

namespace pleat::store {
namespace {

TEST(MemLimit, AtTheLimitWritesFailAndTheOldPageStays) {
  StoreOptions options = small_store(64);
  options.mem_limit_bytes = 10 * kPageSize;
  const auto store = make_store(options);
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 10; ++slot) {
    ASSERT_EQ(session->write(slot, random_page(slot).data()), StoreStatus::kOk);
  }
  EXPECT_EQ(session->write(10, random_page(10).data()), StoreStatus::kOverLimit);
  EXPECT_EQ(session->write(3, random_page(99).data()), StoreStatus::kOverLimit);
  EXPECT_EQ(session->write(3, mixed_page(99, 900).data()), StoreStatus::kOverLimit);
  EXPECT_EQ(session->write_part(3, 512, random_page(98).data(), 512), StoreStatus::kOverLimit);
  EXPECT_EQ(read_page(*session, 3), random_page(3));
  EXPECT_EQ(read_page(*session, 10), TestPage{});
  const StoreStats stats = store->stats();
  EXPECT_EQ(stats.failed_writes, 4u);
  EXPECT_EQ(stats.over_limit_writes, 4u);
  EXPECT_EQ(stats.no_reserve_writes, 0u);
  EXPECT_EQ(stats.orig_data_size, 10 * kPageSize);
  EXPECT_EQ(stats.huge_pages_since, 10u);
  EXPECT_EQ(stats.mem_used_total, 10 * kPageSize);
  EXPECT_EQ(stats.mem_used_max, 10 * kPageSize);
  EXPECT_EQ(to_errno(StoreStatus::kOverLimit), -ENOSPC);
}

TEST(MemLimit, SameFilledPagesKnowNoLimit) {
  StoreOptions options = small_store(64);
  options.mem_limit_bytes = kPageSize;
  const auto store = make_store(options);
  const auto session = make_session(*store);
  ASSERT_EQ(session->write(0, random_page(0).data()), StoreStatus::kOk);
  EXPECT_EQ(session->write(1, same_filled_page(7).data()), StoreStatus::kOk);
  EXPECT_EQ(session->write(2, same_filled_page(0x0123'4567'89AB'CDEF).data()), StoreStatus::kOk);
  EXPECT_EQ(read_page(*session, 2), same_filled_page(0x0123'4567'89AB'CDEF));
  EXPECT_EQ(store->stats().failed_writes, 0u);
}

TEST(MemLimit, LoweredAndRaisedWhileItRuns) {
  const auto store = make_store(small_store(64));
  const auto session = make_session(*store);
  for (std::uint64_t slot = 0; slot < 8; ++slot) {
    ASSERT_EQ(session->write(slot, random_page(slot).data()), StoreStatus::kOk);
  }
  EXPECT_EQ(store->stats().mem_limit, 0u);
  store->set_mem_limit(4 * kPageSize);
  EXPECT_EQ(store->stats().mem_limit, 4 * kPageSize);
  EXPECT_EQ(session->write(1, mixed_page(1, 100).data()), StoreStatus::kOverLimit);
  EXPECT_EQ(read_page(*session, 1), random_page(1));
  session->discard(0, 5);
  EXPECT_EQ(session->write(1, random_page(50).data()), StoreStatus::kOk);
  EXPECT_EQ(session->write(2, random_page(51).data()), StoreStatus::kOverLimit);
  store->set_mem_limit(5 * kPageSize);
  EXPECT_EQ(session->write(2, random_page(51).data()), StoreStatus::kOk);
  EXPECT_EQ(session->write(3, random_page(52).data()), StoreStatus::kOverLimit);
  store->set_mem_limit(0);
  EXPECT_EQ(session->write(3, random_page(52).data()), StoreStatus::kOk);
}

TEST(MemLimit, IsRoundedUpToPages) {
  const auto store = make_store(small_store(64));
  store->set_mem_limit(1);
  EXPECT_EQ(store->stats().mem_limit, kPageSize);
  store->set_mem_limit(2 * kPageSize);
  EXPECT_EQ(store->stats().mem_limit, 2 * kPageSize);
  const auto session = make_session(*store);
  store->set_mem_limit(UINT64_MAX);
  EXPECT_EQ(session->write(0, random_page(0).data()), StoreStatus::kOk);
}

TEST(ReserveExhaustion, WritesFailAtOnceKeepTheOldPageAndRecover) {
  constexpr std::uint64_t kSlots = 16384;
  StoreOptions options = small_store(kSlots);
  options.reserve_bytes = 1;
  const auto store = make_store(options);
  const auto session = make_session(*store);
  const TestPage old = mixed_page(1, 100);
  for (std::uint64_t slot = 0; slot < kSlots; ++slot) {
    StoreStatus status = session->write(slot, old.data());
    while (status != StoreStatus::kOk) {
      ASSERT_TRUE(store->settle(20'000));
      status = session->write(slot, old.data());
    }
  }
  // The pool's pages are taken from under the writers until none is left, ready or absent.
  PageAllocator& pages = StoreInspector::state(*store).pages;
  std::vector<std::uint64_t> taken;
  while (pages.ready_pages() != 0 || pages.region_to_grow()) {
    std::uint64_t page = 0;
    if (pages.allocate(1, false, &page) == AllocateStatus::kOk) {
      taken.push_back(page);
    } else {
      (void)store->settle(50);
    }
  }
  const StoreStats before = store->stats();
  EXPECT_EQ(before.reserve_bytes, 0u);
  EXPECT_EQ(session->write(5, random_page(5).data()), StoreStatus::kNoReserve);
  EXPECT_EQ(session->write_part(6, 0, random_page(6).data(), 3584), StoreStatus::kNoReserve);
  EXPECT_EQ(read_page(*session, 5), old);
  EXPECT_EQ(read_page(*session, 6), old);
  const StoreStats after = store->stats();
  EXPECT_EQ(after.failed_writes - before.failed_writes, 2u);
  EXPECT_EQ(after.no_reserve_writes - before.no_reserve_writes, 2u);
  EXPECT_EQ(after.over_limit_writes, 0u);
  EXPECT_EQ(after.orig_data_size, before.orig_data_size);
  EXPECT_EQ(to_errno(StoreStatus::kNoReserve), -ENOSPC);
  for (const std::uint64_t page : taken) pages.release(page, 1);
  EXPECT_TRUE(store->settle(20'000));
  EXPECT_EQ(session->write(5, random_page(5).data()), StoreStatus::kOk);
  EXPECT_EQ(read_page(*session, 5), random_page(5));
}

struct BadOptions {
  std::string name;
  void (*spoil)(StoreOptions&);
  int code;
  std::string says;
};

TEST(Create, ImpossibleOptionsAreRefusedInWords) {
  const std::vector<BadOptions> table = {
      {"zero", [](StoreOptions& o) { o.device_bytes = 0; }, EINVAL, "multiple of 4096"},
      {"no multiple", [](StoreOptions& o) { o.device_bytes = 4097; }, EINVAL, "multiple of 4096"},
      {"too large", [](StoreOptions& o) { o.device_bytes = (std::uint64_t{16} << 40) + 4096; },
       EINVAL, "largest is 16T"},
      {"codec", [](StoreOptions& o) { o.codec = "nonesuch"; }, EINVAL, "nonesuch"},
      {"kernels", [](StoreOptions& o) { o.kernels = nullptr; }, EINVAL, "kernels"},
      {"sessions", [](StoreOptions& o) { o.sessions_max = 0; }, EINVAL, "sessions_max"},
      {"reserve", [](StoreOptions& o) { o.reserve_bytes = UINT64_MAX; }, EINVAL, "reserve"},
      {"no memory", [](StoreOptions& o) { o.reserve_bytes = std::uint64_t{200} << 30; }, ENOMEM,
       "make it smaller"},
  };
  for (const BadOptions& bad : table) {
    SCOPED_TRACE(bad.name);
    StoreOptions options = small_store(64);
    bad.spoil(options);
    const auto store = Store::create(options);
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, bad.code) << store.error().message;
    EXPECT_NE(store.error().message.find(bad.says), std::string::npos) << store.error().message;
  }
}

// Runs `body` in a child of another user, whose limits are its own; its exit status.
template <typename Body>
int unprivileged(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none{0, 0};
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0) _exit(100);
    if (geteuid() == 0 && setuid(65534) != 0) _exit(101);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

// Its pages could be read no longer than the file is there.
TEST(Create, ADictionaryOfAFileIsRefusedInWords) {
  std::string path = testing::TempDir() + "pleat-dictionary-XXXXXX";
  const int file = mkstemp(path.data());
  const auto dictionary = codec::built_in_zstd_dictionary();
  ASSERT_EQ(write(file, dictionary.data(), dictionary.size()),
            static_cast<ssize_t>(dictionary.size()));
  close(file);
  for (const bool is_second : {false, true}) {
    StoreOptions options = small_store(64);
    (is_second ? options.recompress : options.codec) = "zstd,dict=" + path;
    const auto store = Store::create(options);
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, EINVAL);
    EXPECT_NE(store.error().message.find("leave out ',dict='"), std::string::npos)
        << store.error().message;
  }
  unlink(path.c_str());
}

TEST(Create, WithoutPrivilegeLockingAndMarkingAreRefusedInWords) {
  EXPECT_EQ(unprivileged([] {
              StoreOptions options = small_store(64);
              options.lock_memory = true;
              const auto store = Store::create(options);
              if (store) return 1;
              if (store.error().code != EPERM) return 2;
              return store.error().message.find("ulimit -l") != std::string::npos ? 0 : 3;
            }),
            0);
  EXPECT_EQ(unprivileged([] {
              StoreOptions options = small_store(64);
              options.io_flusher = true;
              const auto store = Store::create(options);
              if (store) return 1;
              if (store.error().code != EPERM) return 2;
              return store.error().message.find("CAP_SYS_RESOURCE") != std::string::npos ? 0 : 3;
            }),
            0);
}

TEST(Create, SmallestDeviceWorks) {
  const auto store = make_store(small_store(1));
  EXPECT_EQ(store->slots(), 1u);
  EXPECT_EQ(store->stats().device_bytes, 4096u);
  const auto session = make_session(*store);
  ASSERT_EQ(session->write(0, random_page(1).data()), StoreStatus::kOk);
  EXPECT_EQ(read_page(*session, 0), random_page(1));
}

TEST(Create, HeaderSaysWhereEverythingIs) {
  const auto store = make_store(small_store(1000));
  const Store::State& state = StoreInspector::state(*store);
  StoreHeader header;
  std::memcpy(&header, state.memory.base(), sizeof(header));
  EXPECT_EQ(std::memcmp(&header.magic, "PLEATSTR", 8), 0);
  EXPECT_EQ(header.version, 8u);
  EXPECT_EQ(header.page_bytes, 4096u);
  EXPECT_EQ(header.device_bytes_max, 1000 * kPageSize);
  EXPECT_EQ(header.counters_offset, kPageSize);
  EXPECT_EQ(header.slot_table_offset, 2 * kPageSize);
  EXPECT_GE(header.page_map_offset, header.slot_table_offset + 8000);
  EXPECT_GE(header.region_words_offset, header.page_map_offset + 2 * header.pool_pages);
  EXPECT_GE(header.block_counts_offset, header.region_words_offset + header.pool_pages / 4);
  EXPECT_EQ(header.pool_offset, header.block_counts_offset);
  EXPECT_EQ(header.pool_offset % kPageSize, 0u);
  EXPECT_GE(header.pool_pages, 1000u);
}

TEST(Layout, LargestDeviceFitsItsAddresses) {
  const Layout layout = make_layout(kDeviceBytesMax, 2048, 64, 0);
  EXPECT_EQ(layout.pool_pages * kPageSize, kPoolBytesMax);
  EXPECT_EQ(layout.slots_max, std::uint64_t{1} << 32);
  EXPECT_LT(layout.total_bytes, std::uint64_t{1} << 46);
}

TEST(Sessions, AreLimitedAndComeBack) {
  StoreOptions options = small_store(64);
  options.sessions_max = 2;
  const auto store = make_store(options);
  auto first = make_session(*store);
  const auto second = make_session(*store);
  const auto third = store->open_session();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ENFILE);
  first.reset();
  EXPECT_TRUE(store->open_session());
}

}  // namespace
}  // namespace pleat::store
