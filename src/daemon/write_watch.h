// SPDX-License-Identifier: MIT OR Apache-2.0
// Says in words that writes fail for want of memory: once when that begins, and once when it is
// over. So there are two lines at most for each quiet time, however many writes fail.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "store/store.h"

namespace pleat::daemon {

class WriteWatch {
 public:
  // How long no write must fail before it is over.
  static constexpr std::uint64_t kQuietNs = 30'000'000'000;

  // For device `path` of `name`, whose statistics are `stats` now.
  WriteWatch(std::string name, std::string path, const store::StoreStats& stats);

  // To be called now and then. The line that is due: ENOSPC where writes fail, 0 where no longer.
  std::optional<Error> look(const store::StoreStats& stats, std::uint64_t now_ns);

 private:
  // Writes that failed so far, by what they lacked.
  struct Failures {
    std::uint64_t over_limit = 0;
    std::uint64_t no_reserve = 0;
    std::uint64_t sum() const { return over_limit + no_reserve; }
  };
  static Failures failures_of(const store::StoreStats& stats);
  Error begin(const store::StoreStats& stats, bool at_limit);
  Error end();

  const std::string name_;
  const std::string path_;
  Failures seen_;
  bool failing_ = false;
  // While failing_: how many have failed, and when the last one was seen.
  std::uint64_t count_ = 0;
  std::uint64_t last_ns_ = 0;
};

}  // namespace pleat::daemon
