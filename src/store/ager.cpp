// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/ager.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/clock.h"
#include "store/background_thread.h"
#include "store/slot_word.h"

namespace pleat::store {
namespace {

constexpr std::uint64_t kMinute_ns = 60'000'000'000;
// How many times as long a page stays at one age as at the one before.
constexpr std::uint64_t kAgeFactor = 12;
// Words that are looked through, some 20 us where they are not in the cache, before a rest of about
// three times as long.
constexpr std::uint64_t kSlotsAtATime = 4096;
constexpr long kRest_ns = 60'000;

void rest_after(std::uint64_t slot) noexcept {
  if ((slot + 1) % kSlotsAtATime != 0) return;
  const timespec rest{0, kRest_ns};
  nanosleep(&rest, nullptr);
}

// Gives the word another age where `wanted` says one; whether it now has it. A word that is locked
// is left alone: its page is in use.
template <typename Wanted>
bool set_age(std::atomic<std::uint64_t>& word, Wanted&& wanted) noexcept {
  SlotWord seen(word.load(std::memory_order_relaxed));
  while (seen.ages() && !seen.locked()) {
    const std::optional<unsigned> age = wanted(seen.age());
    if (!age) return false;
    std::uint64_t expected = seen.bits();
    if (word.compare_exchange_weak(expected, seen.with_age(*age).bits(), std::memory_order_acq_rel,
                                   std::memory_order_relaxed)) {
      return true;
    }
    seen = SlotWord(expected);
  }
  return false;
}

}  // namespace

std::optional<unsigned> age_after(std::uint64_t seconds) {
  if (seconds == 0) return 0;
  std::uint64_t least = 60;
  for (unsigned age = 2; age <= SlotWord::kAgeMax; ++age) {
    if (seconds <= least) return age;
    least *= kAgeFactor;
  }
  return std::nullopt;
}

Ager::~Ager() { end(); }

void Ager::end() noexcept {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_release);
  bell_.ring();
  thread_.join();
  stop_.store(false, std::memory_order_release);
}

Result<void> Ager::start(bool io_flusher) {
  auto started = start_background_thread("pleat-age", io_flusher, [this] { run(); });
  if (!started) return std::move(started).error();
  thread_ = *std::move(started);
  return {};
}

void Ager::begin() noexcept {
  begun_.store(true, std::memory_order_release);
  bell_.ring();
}

void Ager::run() noexcept {
  while (!begun_.load(std::memory_order_acquire)) {
    bell_.wait();
    if (stopping()) return;
  }
  // The minute that a process begins in is not counted: pages may seem younger than they are.
  std::uint64_t minute = monotonic_ns() / kMinute_ns;
  while (!stopping()) {
    const std::uint64_t now_ns = monotonic_ns();
    bell_.wait_for(std::max((minute + 1) * kMinute_ns, now_ns + 1) - now_ns);
    const std::uint64_t now = monotonic_ns() / kMinute_ns;
    if (now == minute || stopping()) continue;
    advance(minute, now);
    minute = now;
  }
}

void Ager::advance(std::uint64_t from_minute, std::uint64_t to_minute) noexcept {
  unsigned due = 0;  // bit n: it is the turn of age n
  std::uint64_t period = 1;
  for (unsigned age = 0; age < SlotWord::kAgeMax; ++age, period *= kAgeFactor) {
    if (to_minute / period != from_minute / period) due |= 1u << age;
  }
  const auto older = [due](unsigned age) {
    return (due >> age & 1) != 0 ? std::optional<unsigned>(age + 1) : std::nullopt;
  };
  for (std::uint64_t slot = 0; slot < slots_.size() && !stopping(); ++slot) {
    (void)set_age(slots_[slot], older);
    rest_after(slot);
  }
}

std::uint64_t Ager::mark_idle(unsigned age) noexcept {
  const auto idle_from = [age](unsigned now) {
    return now >= age ? std::optional<unsigned>(SlotWord::kIdle) : std::nullopt;
  };
  std::uint64_t idle = 0;
  for (std::uint64_t slot = 0; slot < slots_.size() && !stopping(); ++slot) {
    idle += set_age(slots_[slot], idle_from) ? 1 : 0;
    rest_after(slot);
  }
  return idle;
}

}  // namespace pleat::store
