// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/store_passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/sample_stats.h"

namespace pleat::tool {
namespace {

std::vector<std::size_t> shuffled(std::size_t count, std::mt19937_64& random) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

}  // namespace

StorePasses::StorePasses(const StoreSubject& subject, const PageSet& set, const BenchClock& clock,
                         Barrier barrier)
    : subject_(&subject), set_(&set), clock_(&clock), barrier_(std::move(barrier)) {}

bool StorePasses::available(StoreOperation operation) const {
  return operation != StoreOperation::kDiscard || subject_->discard != nullptr;
}

bool StorePasses::call(StoreOperation operation, std::size_t i, PageBuffer& pages) const {
  switch (operation) {
    case StoreOperation::kWrite:
    case StoreOperation::kOverwrite:
      return subject_->write(i, set_->page(i));
    case StoreOperation::kRead:
      return subject_->read(i, pages.page(place_[i]));
    case StoreOperation::kDiscard:
      break;
  }
  return subject_->discard(i);
}

void StorePasses::cpu_pass(StoreOperation operation, const std::vector<std::size_t>& order,
                           PageBuffer& pages) {
  Samples& samples = samples_[static_cast<std::size_t>(operation)];
  bool succeeded = true;
  barrier_();
  WallSpan wall;
  wall.begin_ns = monotonic_ns();
  const std::uint64_t begin = clock_->cpu_ns();
  for (const std::size_t i : order) succeeded &= call(operation, i, pages);
  samples.pass_ns.push_back(clock_->cpu_ns() - begin);
  wall.end_ns = monotonic_ns();
  samples.wall.push_back(wall);
  note(operation, succeeded);
}

void StorePasses::call_pass(StoreOperation operation, const std::vector<std::size_t>& order,
                            PageBuffer& pages) {
  Samples& samples = samples_[static_cast<std::size_t>(operation)];
  bool succeeded = true;
  barrier_();
  for (const std::size_t i : order) {
    const std::uint64_t tick = clock_->ticks();
    succeeded &= call(operation, i, pages);
    samples.call_ticks.push_back(clock_->ticks() - tick);
  }
  note(operation, succeeded);
}

void StorePasses::note(StoreOperation operation, bool succeeded) {
  if (succeeded || !failure_) return;
  failure_ = Error{
      EIO, fmt::format("{}: a {} of {} failed", subject_->name,
                       kStoreOperationNames[static_cast<std::size_t>(operation)], set_->name)};
}

void StorePasses::verify(const PageBuffer& pages) {
  for (std::size_t i = 0; subject_->verify && failure_ && i < set_->count; ++i) {
    if (std::memcmp(pages.page(place_[i]), set_->page(i), kPageSize) == 0) continue;
    failure_ = Error{
        EBADMSG, fmt::format("{}: page {} of {} comes back wrong", subject_->name, i, set_->name)};
  }
}

void StorePasses::pass(StoreOperation operation, bool by_call, std::mt19937_64& random,
                       PageBuffer& pages) {
  if (!available(operation)) return;
  if (operation == StoreOperation::kWrite) subject_->settle();
  if (operation == StoreOperation::kRead) {
    // What the last subject read must not pass for what this one reads.
    std::memset(pages.data(), 0xa5, pages.bytes());
    place_ = shuffled(set_->count, random);
  }
  const std::vector<std::size_t> order = shuffled(set_->count, random);
  if (by_call) {
    call_pass(operation, order, pages);
  } else {
    cpu_pass(operation, order, pages);
  }
  if (operation == StoreOperation::kRead) verify(pages);
}

OperationTimes StorePasses::times(StoreOperation operation) const {
  const Samples& samples = samples_[static_cast<std::size_t>(operation)];
  OperationTimes times;
  if (samples.pass_ns.empty() || set_->count == 0) return times;
  const auto best = static_cast<double>(std::max<std::uint64_t>(
      1, *std::min_element(samples.pass_ns.begin(), samples.pass_ns.end())));
  times.us = best / 1000 / static_cast<double>(set_->count);
  times.spread = static_cast<double>(median(samples.pass_ns)) / best - 1;
  std::vector<std::uint64_t> ticks = samples.call_ticks;
  const double us_per_tick = 1e6 / clock_->rate();
  times.call_p50_us = static_cast<double>(quantile(ticks, 0.5)) * us_per_tick;
  times.call_p99_us = static_cast<double>(quantile(ticks, 0.99)) * us_per_tick;
  times.call_p999_us = static_cast<double>(quantile(ticks, 0.999)) * us_per_tick;
  return times;
}

}  // namespace pleat::tool
