// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/recompressor.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "store/check.h"
#include "store/claim.h"
#include "store/size_class.h"

namespace pleat::store {
namespace {

using Kind = SlotWord::Kind;

// As for a write, how long it waits for pool memory at most.
constexpr std::uint64_t kMemoryWait_ns = 500'000'000;

// What a group must save of the memory that its pages would take singly: a 32nd of it, since to
// read a page of it takes more time, and its memory is free when the last of its pages is.
constexpr std::uint64_t kGroupGain = 32;

// The longest block of which the object is of a smaller size class than what is stored; 0 where
// there is none.
std::size_t bytes_to_save(SlotWord word) {
  if (word.kind() != Kind::kCompressed) return kCompressedBytesMax;
  const std::size_t bytes = object_bytes(word.length());
  // A damaged word's length may be anything.
  if (bytes > kPageObjectBytesMax) return 0;
  const unsigned size_class = size_class_of(bytes);
  return size_class == 0 ? 0 : kSizeClasses.classes[size_class - 1].bytes - sizeof(ObjectHeader);
}

// Bytes of pool that an object of this class takes, as its share of a span.
std::uint64_t span_share(unsigned size_class) {
  const SizeClass& sizes = kSizeClasses.classes[size_class];
  return sizes.pages * kPageSize / sizes.objects;
}

// The same of a group; a damaged word's length may be anything.
std::uint64_t group_share(SlotWord word) {
  return span_share(size_class_of(
      std::min(group_object_bytes(word.stored_bytes() * kGroupPages), kObjectBytesMax)));
}

// Whether the word is as it was seen, or older, which becomes what was seen then.
bool see_older(const AtomicWord& word, SlotWord* seen) noexcept {
  const SlotWord now(word.load(std::memory_order_acquire));
  const bool is_older = now.ages() && now.age() >= seen->age() && now.age() <= SlotWord::kIdle &&
                        now.with_age(seen->age()) == *seen;
  if (is_older) *seen = now;
  return is_older;
}

}  // namespace

Store::Recompressor::Recompressor(State& state, RecompressionCodecs codecs)
    : state_(state),
      session_(state, state.options.sessions_max, std::move(codecs.pages)),
      groups_(std::move(codecs.groups)),
      batch_(std::make_unique<BatchEntry[]>(kBatchPagesMax)) {}

RecompressResult Store::Recompressor::work(const RecompressRequest& request) noexcept {
  BackgroundPriority priority;
  priority_ = &priority;
  RecompressResult result;
  result.next_slot = request.first_slot;
  const Bounds bounds{request.pages_max != 0 ? request.pages_max : UINT64_MAX,
                      request.duration_ns != 0 ? monotonic_ns() + request.duration_ns : UINT64_MAX};
  result.done = request.batches != nullptr ? work_in_batches(request, bounds, &result)
                                           : work_singly(request, bounds, &result);
  return result;
}

bool Store::Recompressor::is_over(const Bounds& bounds) const noexcept {
  return bounds.pages == 0 || state_.errands.stopping() || monotonic_ns() >= bounds.end_ns;
}

bool Store::Recompressor::work_singly(const RecompressRequest& request, Bounds bounds,
                                      RecompressResult* result) noexcept {
  std::uint64_t& slot = result->next_slot;
  while (slot < state_.slots.size()) {
    std::size_t count = find_wanted(request, slot, bounds.pages);
    if (groups_ && slot % kGroupPages == 0 && count != kGroupPages) {
      const std::size_t left = find_broken_group(request, slot, bounds.pages);
      if (left != 0) {
        if (is_over(bounds)) return false;
        bounds.pages -= left;
        if (!part_group(left, result)) return false;
      }
      count = find_wanted(request, slot, bounds.pages);
    }
    if ((count != 0 || slot % kSlotsPerLook == 0) && is_over(bounds)) return false;
    if (count == 0) {
      ++slot;
      continue;
    }
    bounds.pages -= count;
    if (!recompress(count, result)) return false;
    slot += count;
  }
  return true;
}

bool Store::Recompressor::work_in_batches(const RecompressRequest& request, Bounds bounds,
                                          RecompressResult* result) noexcept {
  while (result->next_slot < state_.slots.size()) {
    const std::size_t count = fill_batch(request, bounds, &result->next_slot);
    if (count != 0 && !recompress_batch(*request.batches, count, result)) return false;
    bounds.pages -= count;
    if (result->next_slot < state_.slots.size() && is_over(bounds)) return false;
  }
  return true;
}

bool Store::Recompressor::meant(const RecompressRequest& request, SlotWord word) const noexcept {
  if (!word.ages() || word.locked()) return false;
  if (request.only_idle && word.age() < SlotWord::kIdle) return false;
  if (request.only_huge && word.kind() != Kind::kRaw) return false;
  return word.stored_bytes() >= request.bytes_min;
}

std::size_t Store::Recompressor::find_wanted(const RecompressRequest& request, std::uint64_t slot,
                                             std::uint64_t pages_max) noexcept {
  const bool may_group = groups_ && slot % kGroupPages == 0 && pages_max >= kGroupPages &&
                         slot + kGroupPages <= state_.slots.size();
  std::size_t fresh = 0;
  std::size_t count = 0;
  for (; count < (may_group ? kGroupPages : 1); ++count) {
    Try& page = tries_[count];
    page.slot = slot + count;
    page.seen = SlotWord(state_.slot_word(page.slot).load(std::memory_order_acquire));
    if (!meant(request, page.seen)) break;
    fresh += wanted(request, page.seen) ? 1 : 0;
  }
  if (count == kGroupPages && fresh != 0) return count;
  return count != 0 && wanted(request, tries_[0].seen) ? 1 : 0;
}

std::size_t Store::Recompressor::find_broken_group(const RecompressRequest& request,
                                                   std::uint64_t slot,
                                                   std::uint64_t pages_max) noexcept {
  std::size_t count = 0;
  for (std::uint64_t i = slot; i < std::min(slot + kGroupPages, state_.slots.size()); ++i) {
    const SlotWord seen(state_.slot_word(i).load(std::memory_order_acquire));
    if (!seen.grouped()) continue;
    if (!meant(request, seen)) return 0;
    // Where compaction has moved some of them, these are another group.
    if (count != 0 && !seen.is_member_at(tries_[0].seen.location())) continue;
    tries_[count].slot = i;
    tries_[count++].seen = seen;
  }
  return count != kGroupPages && count <= pages_max ? count : 0;
}

bool Store::Recompressor::part_group(std::size_t count, RecompressResult* result) noexcept {
  std::uint64_t singly = 0;  // bytes of pool
  bool parts = true;
  for (std::size_t i = 0; i < count; ++i) {
    encode_page(i, true);
    const Try& page = tries_[i];
    parts = parts && page.claimed && page.encoded.size != 0;
    if (parts) singly += span_share(size_class_of(object_bytes(page.encoded.size)));
  }
  if (parts) {
    const std::uint64_t together = group_share(tries_[0].seen);
    parts = singly <= together - together / kGroupGain;
  }
  priority_->raise();
  for (std::size_t i = 0; i < count; ++i) {
    const Try& page = tries_[i];
    if (!page.claimed) continue;
    if (!parts || result->no_memory) {
      release(page);
      continue;
    }
    const Outcome outcome = replace(page, page.encoded, page.block.data(), nullptr);
    if (outcome == Outcome::kSmaller) ++result->pages_parted;
    result->no_memory = outcome == Outcome::kNoMemory;
  }
  priority_->lower();
  return !result->no_memory;
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

bool Store::Recompressor::recompress(std::size_t count, RecompressResult* result) noexcept {
  bool is_whole = count == kGroupPages;
  for (std::size_t i = 0; i < count; ++i) {
    encode_page(i, !tries_[i].seen.settled());
    is_whole = is_whole && tries_[i].claimed && tries_[i].sound;
  }
  if (is_whole) {
    const codec::Encoded encoded =
        groups_->encode(pages_.data(), block_.data(), group_bytes_to_save());
    if (encoded.size != 0) {
      priority_->raise();
      const Outcome outcome = replace_group(encoded, result);
      priority_->lower();
      result->no_memory = outcome == Outcome::kNoMemory;
      return !result->no_memory;
    }
  }
  priority_->raise();
  for (std::size_t i = 0; i < count; ++i) {
    const Try& page = tries_[i];
    if (!page.claimed) continue;
    if (result->no_memory) {
      release(page);
      continue;
    }
    const Outcome outcome = page.encoded.size == 0
                                ? keep(page)
                                : replace(page, page.encoded, page.block.data(), result);
    if (outcome == Outcome::kKept && !page.seen.settled()) ++result->pages_kept;
    result->no_memory = outcome == Outcome::kNoMemory;
  }
  priority_->lower();
  return !result->no_memory;
}

void Store::Recompressor::claim(Claim& page, std::byte* bytes) noexcept {
  AtomicWord& word = state_.slot_word(page.slot);
  priority_->raise();
  do {
    page.age = std::min(page.seen.age(), SlotWord::kIdle);
    page.claimed = claim_page(word, page.seen, [&] {
      page.sound = session_.decode(page.slot, page.seen, bytes) == StoreStatus::kOk;
    });
    // It may have become older while the neighbours before it were compressed.
  } while (!page.claimed && see_older(word, &page.seen));
  priority_->lower();
}

void Store::Recompressor::encode_page(std::size_t index, bool singly) noexcept {
  Try& page = tries_[index];
  std::byte* const bytes = pages_.data() + index * kPageSize;
  page.encoded = {0, codec::CodecId::kRaw};
  claim(page, bytes);
  if (!page.claimed || !page.sound || !singly) return;
  if (const std::size_t capacity = bytes_to_save(page.seen); capacity != 0) {
    page.encoded = session_.codec.encode(bytes, page.block.data(), capacity);
  }
}

std::size_t Store::Recompressor::fill_batch(const RecompressRequest& request, const Bounds& bounds,
                                            std::uint64_t* slot) noexcept {
  codec::BatchCompressor& compressor = *request.batches;
  const std::size_t pages_max =
      std::min<std::uint64_t>({kBatchPagesMax, compressor.pages_max(), bounds.pages});
  std::size_t count = 0;
  for (; count < pages_max && *slot < state_.slots.size(); ++*slot) {
    BatchEntry& page = batch_[count];
    page.slot = *slot;
    page.seen = SlotWord(state_.slot_word(*slot).load(std::memory_order_acquire));
    const bool is_wanted = wanted(request, page.seen);
    if ((is_wanted || *slot % kSlotsPerLook == 0) && is_over(bounds)) break;
    if (!is_wanted) continue;
    // Whoever has the batch's memory may change it, so the page is looked at before it is there.
    std::byte* const bytes = pages_.data();
    claim(page, bytes);
    if (!page.claimed) continue;
    page.check = page.sound ? check_bytes(bytes, kPageSize, page.slot) : 0;
    std::memcpy(compressor.page(count), bytes, kPageSize);
    ++count;
  }
  return count;
}

bool Store::Recompressor::recompress_batch(codec::BatchCompressor& compressor, std::size_t count,
                                           RecompressResult* result) noexcept {
  result->error = compressor.compress(count);
  for (std::size_t i = 0; i < count; ++i) {
    priority_->raise();
    if (result->error != 0 || result->no_memory) {
      release(batch_[i]);
    } else {
      const Outcome outcome = recompress_entry(compressor, i, result);
      if (outcome == Outcome::kKept) ++result->pages_kept;
      result->no_memory = outcome == Outcome::kNoMemory;
      result->error = outcome == Outcome::kWrongBlock ? EBADMSG : 0;
    }
    priority_->lower();
  }
  return result->error == 0 && !result->no_memory;
}

Store::Recompressor::Outcome Store::Recompressor::recompress_entry(
    codec::BatchCompressor& compressor, std::size_t index, RecompressResult* result) noexcept {
  const BatchEntry& page = batch_[index];
  const std::size_t capacity = page.sound ? bytes_to_save(page.seen) : 0;
  std::byte* const block = block_.data();
  const std::size_t size = capacity != 0 ? compressor.take_block(index, block, capacity) : 0;
  if (size == 0) return keep(page);
  const codec::CodecId codec = compressor.codec();
  const bool is_right =
      codec::decode_page(session_.codec.kernels(), codec, block, size, pages_.data()) &&
      check_bytes(pages_.data(), kPageSize, page.slot) == page.check;
  if (!is_right) {
    release(page);
    return Outcome::kWrongBlock;
  }
  return replace(page, {size, codec}, block, result);
}

std::size_t Store::Recompressor::group_bytes_to_save() const noexcept {
  std::uint64_t singly = 0;  // bytes of pool
  std::size_t stored = 0;
  for (const Try& page : tries_) {
    stored += page.seen.stored_bytes();
    if (page.seen.grouped()) {
      // Its memory is free when all that is left of it is here.
      const bool is_counted = std::any_of(tries_.data(), &page, [&page](const Try& before) {
        return before.seen.is_member_at(page.seen.location());
      });
      singly += is_counted ? 0 : group_share(page.seen);
      continue;
    }
    const std::size_t length =
        page.encoded.size != 0 ? page.encoded.size : page.seen.stored_bytes();
    singly +=
        length > kCompressedBytesMax ? kPageSize : span_share(size_class_of(object_bytes(length)));
  }
  auto size_class = static_cast<unsigned>(kSizeClasses.count) - 1;
  while (size_class > 0 && span_share(size_class) > singly - singly / kGroupGain) --size_class;
  // Its share of a granule more must not make a page longer than it was.
  return std::min(kSizeClasses.classes[size_class].bytes - sizeof(GroupHeader),
                  stored / kGranule * kGranule);
}

void Store::Recompressor::release(const Claim& page) noexcept {
  release_claim(state_.slot_word(page.slot), state_.pool, page.age);
}

Store::Recompressor::Outcome Store::Recompressor::keep(const Claim& page) noexcept {
  const auto kept = replace_claimed(
      state_.slot_word(page.slot), state_.pool,
      [&page](SlotWord word) { return word.with_age(page.age).with_settled(true); });
  return kept ? Outcome::kKept : Outcome::kInUse;
}

Store::Recompressor::Outcome Store::Recompressor::replace(const Claim& page, codec::Encoded encoded,
                                                          const std::byte* block,
                                                          RecompressResult* result) noexcept {
  std::uint64_t location = 0;
  if (allocate(object_bytes(encoded.size), &location) != AllocateStatus::kOk) {
    release(page);
    return Outcome::kNoMemory;
  }
  const SlotWord fresh = SlotWord::compressed(encoded.id, location, encoded.size);
  session_.fill_object(page.slot, fresh, block, encoded.size);
  const auto old = replace_claimed(state_.slot_word(page.slot), state_.pool, [&](SlotWord word) {
    return fresh.with_age(page.age).with_settled(true).after(word);
  });
  if (!old) {
    state_.pool.free(location);
    return Outcome::kInUse;
  }
  count_replaced(page.slot, *old, fresh, result);
  return Outcome::kSmaller;
}

bool Store::Recompressor::lock_group(std::array<SlotWord, kGroupPages>* words) noexcept {
  std::size_t locked = 0;
  for (; locked < kGroupPages; ++locked) {
    const auto old = replace_claimed(state_.slot_word(tries_[locked].slot), state_.pool,
                                     [](SlotWord word) { return word.with_lock(); });
    if (!old) break;
    (*words)[locked] = *old;
  }
  if (locked == kGroupPages) return true;
  for (std::size_t i = 0; i < kGroupPages; ++i) {
    if (i < locked) {
      unlock(state_.slot_word(tries_[i].slot), (*words)[i].with_age(tries_[i].age));
    } else {
      release(tries_[i]);
    }
  }
  return false;
}

Store::Recompressor::Outcome Store::Recompressor::replace_group(codec::Encoded encoded,
                                                                RecompressResult* result) noexcept {
  std::uint64_t location = 0;
  if (allocate(group_object_bytes(encoded.size), &location) != AllocateStatus::kOk) {
    for (const Try& page : tries_) release(page);
    return Outcome::kNoMemory;
  }
  fill_group(state_.pool.at(location), tries_[0].slot, kAllMembers, encoded.id, block_.data(),
             encoded.size);
  const SlotWord fresh = SlotWord::grouped(location, encoded.size).with_settled(true);
  std::array<SlotWord, kGroupPages> words;
  const bool is_locked = lock_group(&words);
  for (std::size_t i = 0; is_locked && i < kGroupPages; ++i) {
    unlock(state_.slot_word(tries_[i].slot), fresh.with_age(tries_[i].age).after(words[i]));
  }
  for (std::size_t i = 0; is_locked && i < kGroupPages; ++i) {
    count_replaced(tries_[i].slot, words[i], fresh, result);
  }
  if (!is_locked) state_.pool.free(location);
  return is_locked ? Outcome::kSmaller : Outcome::kInUse;
}

// A page of a group may have been shorter than its share of it.
void Store::Recompressor::count_replaced(std::uint64_t slot, SlotWord old, SlotWord fresh,
                                         RecompressResult* result) noexcept {
  const auto saved = static_cast<std::int64_t>(old.stored_bytes()) -
                     static_cast<std::int64_t>(fresh.stored_bytes());
  session_.replaced(slot, old, fresh);
  if (result == nullptr) return;
  Counters::add(session_.counters.recompressed, 1);
  Counters::add(session_.counters.recompress_saved, saved);
  ++result->pages_recompressed;
  result->bytes_saved += static_cast<std::uint64_t>(saved);
}

}  // namespace pleat::store
