// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/write_watch.h"

#include <cerrno>
#include <utility>

#include "base/units.h"

namespace pleat::daemon {

WriteWatch::WriteWatch(std::string name, std::string path, const store::StoreStats& stats)
    : name_(std::move(name)), path_(std::move(path)), seen_(failures_of(stats)) {}

WriteWatch::Failures WriteWatch::failures_of(const store::StoreStats& stats) {
  return {stats.over_limit_writes, stats.no_reserve_writes};
}

std::optional<Error> WriteWatch::look(const store::StoreStats& stats, std::uint64_t now_ns) {
  const Failures before = std::exchange(seen_, failures_of(stats));
  const std::uint64_t more = seen_.sum() - before.sum();
  if (more != 0) {
    count_ += more;
    last_ns_ = now_ns;
    if (!failing_) return begin(stats, seen_.over_limit != before.over_limit);
  } else if (failing_ && now_ns - last_ns_ >= kQuietNs) {
    return end();
  }
  return std::nullopt;
}

Error WriteWatch::begin(const store::StoreStats& stats, bool at_limit) {
  failing_ = true;
  const std::string why = at_limit
                              ? "its memory limit of " + format_size(stats.mem_limit) +
                                    " is reached (raise it: pleat set " + name_ + " mem-limit=SIZE)"
                              : "the system has no memory for it";
  return Error{ENOSPC, "writes to " + path_ + " fail: " + why + "; reads and discards go on"};
}

Error WriteWatch::end() {
  failing_ = false;
  const std::uint64_t count = std::exchange(count_, 0);
  return Error{0, "no write to " + path_ + " has failed for " + format_duration_ns(kQuietNs) +
                      "; before that " + std::to_string(count) + " did"};
}

}  // namespace pleat::daemon
