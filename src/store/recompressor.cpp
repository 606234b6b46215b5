// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/recompressor.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "store/claim.h"
#include "store/size_class.h"

namespace pleat::store {
namespace {

using Kind = SlotWord::Kind;

// As for a write, how long it waits for pool memory at most.
constexpr std::uint64_t kMemoryWait_ns = 500'000'000;

// The longest block of which the object is of a smaller size class than what is stored; 0 where
// there is none.
std::size_t bytes_to_save(SlotWord word) {
  if (word.kind() == Kind::kRaw) return kCompressedBytesMax;
  const std::size_t bytes = object_bytes(word.length());
  // A damaged word's length may be anything.
  if (bytes > kPageObjectBytesMax) return 0;
  const unsigned size_class = size_class_of(bytes);
  return size_class == 0 ? 0 : kSizeClasses.classes[size_class - 1].bytes - sizeof(ObjectHeader);
}

}  // namespace

Store::Recompressor::Recompressor(State& state, codec::PageCodec codec)
    : state_(state), session_(state, state.options.sessions_max, std::move(codec)) {}

RecompressResult Store::Recompressor::work(const RecompressRequest& request) noexcept {
  BackgroundPriority priority;
  RecompressResult result;
  const std::uint64_t end_ns =
      request.duration_ns != 0 ? monotonic_ns() + request.duration_ns : UINT64_MAX;
  std::uint64_t& slot = result.next_slot;
  std::uint64_t attempts = 0;
  for (slot = request.first_slot; slot < state_.slots.size(); ++slot) {
    if (request.pages_max != 0 && attempts == request.pages_max) return result;
    const SlotWord seen(state_.slot_word(slot).load(std::memory_order_acquire));
    const bool is_wanted = wanted(request, seen);
    if (is_wanted || slot % kSlotsPerLook == 0) {
      if (state_.errands.stopping() || monotonic_ns() >= end_ns) return result;
    }
    if (!is_wanted) continue;
    ++attempts;
    std::uint64_t saved = 0;
    switch (recompress_page(slot, seen, priority, &saved)) {
      case Outcome::kSmaller:
        ++result.pages_recompressed;
        result.bytes_saved += saved;
        break;
      case Outcome::kKept:
        ++result.pages_kept;
        break;
      case Outcome::kInUse:
        break;
      case Outcome::kNoMemory:
        result.no_memory = true;
        return result;
    }
  }
  result.done = true;
  return result;
}

bool Store::Recompressor::wanted(const RecompressRequest& request, SlotWord word) const noexcept {
  if (!word.ages() || word.locked() || word.settled()) return false;
  if (request.only_idle && word.age() < SlotWord::kIdle) return false;
  if (request.only_huge && word.kind() != Kind::kRaw) return false;
  return word.stored_bytes() >= request.bytes_min;
}

bool Store::Recompressor::claim(std::uint64_t slot, SlotWord seen, bool* sound) noexcept {
  return claim_page(state_.slot_word(slot), seen, [&] {
    const StoreStatus status = session_.decode(slot, seen, page_.data());
    *sound = status == StoreStatus::kOk;
  });
}

AllocateStatus Store::Recompressor::allocate(std::size_t bytes, std::uint64_t* location) noexcept {
  const std::uint64_t deadline_ns = monotonic_ns() + kMemoryWait_ns;
  while (true) {
    const std::uint32_t growth = state_.reserve.growth();
    // Without mem_limit: what comes of it takes less, and at the limit it is needed most.
    const AllocateStatus status = state_.pool.allocate(bytes, false, location);
    if (status == AllocateStatus::kOk) return status;
    if (!state_.reserve.await_growth(growth, deadline_ns)) return status;
  }
}

Store::Recompressor::Outcome Store::Recompressor::recompress_page(std::uint64_t slot, SlotWord seen,
                                                                  BackgroundPriority& priority,
                                                                  std::uint64_t* saved) noexcept {
  bool sound = false;
  priority.raise();
  const bool is_claimed = claim(slot, seen, &sound);
  priority.lower();
  if (!is_claimed) return Outcome::kInUse;
  const unsigned age = std::min(seen.age(), SlotWord::kIdle);
  const std::size_t capacity = sound ? bytes_to_save(seen) : 0;
  codec::Encoded encoded{0, codec::CodecId::kRaw};
  if (capacity != 0) {
    encoded = session_.codec.encode(page_.data(), session_.compressed.data(), capacity);
  }
  priority.raise();
  const Outcome outcome = encoded.size == 0 ? keep(slot, age) : replace(slot, age, encoded, saved);
  priority.lower();
  return outcome;
}

Store::Recompressor::Outcome Store::Recompressor::keep(std::uint64_t slot, unsigned age) noexcept {
  const auto kept = replace_claimed(state_.slot_word(slot), state_.pool, [age](SlotWord word) {
    return word.with_age(age).with_settled(true);
  });
  return kept ? Outcome::kKept : Outcome::kInUse;
}

Store::Recompressor::Outcome Store::Recompressor::replace(std::uint64_t slot, unsigned age,
                                                          codec::Encoded encoded,
                                                          std::uint64_t* saved) noexcept {
  std::uint64_t location = 0;
  if (allocate(object_bytes(encoded.size), &location) != AllocateStatus::kOk) {
    release_claim(state_.slot_word(slot), state_.pool, age);
    return Outcome::kNoMemory;
  }
  const SlotWord fresh = SlotWord::compressed(encoded.id, location, encoded.size);
  session_.fill_object(slot, fresh, session_.compressed.data(), encoded.size);
  const auto old = replace_claimed(
      state_.slot_word(slot), state_.pool,
      [fresh, age](SlotWord word) { return fresh.with_age(age).with_settled(true).after(word); });
  if (!old) {
    state_.pool.free(location);
    return Outcome::kInUse;
  }
  *saved = old->stored_bytes() - encoded.size;
  session_.replaced(*old, fresh);
  Counters::add(session_.counters.recompressed, 1);
  Counters::add(session_.counters.recompress_saved, static_cast<std::int64_t>(*saved));
  return Outcome::kSmaller;
}

}  // namespace pleat::store
