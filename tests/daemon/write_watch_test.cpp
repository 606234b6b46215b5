// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/write_watch.h"

#include <gmock/gmock.h>

#include <cerrno>
#include <optional>

namespace pleat::daemon {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kSecondNs = 1'000'000'000;

class Writes : public testing::Test {
 protected:
  Writes() {
    // What failed before is not news.
    stats_.over_limit_writes = 10;
    stats_.no_reserve_writes = 20;
    stats_.mem_limit = std::uint64_t{1} << 30;
    watch_.emplace("swap0", "/dev/ublkb0", stats_);
  }
  // What is said `after` seconds later.
  std::optional<Error> look(std::uint64_t after) {
    now_ns_ += after * kSecondNs;
    return watch_->look(stats_, now_ns_);
  }

  store::StoreStats stats_;
  std::optional<WriteWatch> watch_;
  std::uint64_t now_ns_ = 1;
};

TEST_F(Writes, ThatSucceedAreNotSpokenOf) {
  EXPECT_FALSE(look(0));
  stats_.failed_reads = 5;
  stats_.failed_writes = 5;  // of corrupt pages
  EXPECT_FALSE(look(1));
  EXPECT_FALSE(look(1000));
}

TEST_F(Writes, ThatFailAreSaidOnceAndTheirEndOnce) {
  ++stats_.over_limit_writes;
  const auto begin = look(1);
  ASSERT_TRUE(begin);
  EXPECT_EQ(begin->code, ENOSPC);
  EXPECT_THAT(begin->message, HasSubstr("writes to /dev/ublkb0 fail: its memory limit of 1G"));
  EXPECT_THAT(begin->message, HasSubstr("pleat set swap0 mem-limit=SIZE"));
  for (int i = 0; i < 100; ++i) {
    stats_.over_limit_writes += 7;
    EXPECT_FALSE(look(29));
  }
  EXPECT_FALSE(look(29));
  const auto end = look(1);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 0);
  EXPECT_EQ(end->message, "no write to /dev/ublkb0 has failed for 30.0s; before that 701 did");
  EXPECT_FALSE(look(100));
}

TEST_F(Writes, ThatFindNoMemoryAreToldFromThoseAtTheLimit) {
  ++stats_.no_reserve_writes;
  const auto line = look(1);
  ASSERT_TRUE(line);
  EXPECT_THAT(line->message, HasSubstr("the system has no memory"));
}

TEST_F(Writes, ThatFailAgainAreSaidAgainWithTheirOwnCount) {
  stats_.no_reserve_writes += 3;
  EXPECT_TRUE(look(1));
  EXPECT_THAT(look(30)->message, HasSubstr("before that 3 did"));
  ++stats_.no_reserve_writes;
  EXPECT_TRUE(look(1));
  EXPECT_THAT(look(30)->message, HasSubstr("before that 1 did"));
}

}  // namespace
}  // namespace pleat::daemon
