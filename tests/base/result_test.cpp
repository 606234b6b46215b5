// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/result.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "base/unique_fd.h"

namespace pleat {
namespace {

TEST(Result, HoldsAValueThatCanOnlyMove) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  ASSERT_TRUE(result);
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 7);
}

TEST(Result, HoldsAnError) {
  const Result<int> result(Error{ENOENT, "no such page"});
  EXPECT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ENOENT);
  const Result<void> nothing = result.error();
  EXPECT_EQ(nothing.error().message, "no such page");
  EXPECT_TRUE(Result<void>().has_value());
}

TEST(Error, NamesTheCauseBehindTheAction) {
  errno = EACCES;
  Error error = errno_error("cannot open x");
  EXPECT_EQ(error.code, EACCES);
  EXPECT_EQ(error.message, "cannot open x: Permission denied");
  EXPECT_EQ(with_context(std::move(error), "create").message,
            "create: cannot open x: Permission denied");
}

TEST(UniqueFd, ClosesOnceAndMoves) {
  UniqueFd first(open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(first);
  const int number = first.get();
  {
    UniqueFd second(std::move(first));
    EXPECT_EQ(second.get(), number);
    EXPECT_EQ(fcntl(number, F_GETFD), FD_CLOEXEC);
  }
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

}  // namespace
}  // namespace pleat
