// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/session.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"
#include "codec/group_codec.h"
#include "store/slot_lock.h"

namespace pleat::store {
namespace {

using Kind = SlotWord::Kind;

// How long one write waits at most for the reserve: far longer than a thread that has work waits
// for a busy processor, and short enough for whoever waits for the queue behind it.
constexpr std::uint64_t kReserveWait_ns = 500'000'000;

// Replaces the word by `fresh` and returns what it was. Acquires what the last reader or writer of
// the old object released, since the caller goes on to free it.
SlotWord publish(AtomicWord& word, SlotWord fresh, Pool& pool) noexcept {
  while (true) {
    const SlotWord old = wait_unlocked(word);
    pool.prepare_free(old);
    std::uint64_t expected = old.bits();
    if (word.compare_exchange_weak(expected, fresh.after(old).bits(), std::memory_order_acq_rel,
                                   std::memory_order_relaxed)) {
      return old;
    }
  }
}

// How many slots ahead of the one that is discarded its object is asked for, which lies anywhere in
// the pool.
constexpr std::uint64_t kDiscardAhead = 8;

// Whether the word is what it was before what it leads to was read from the backing device, where
// no lock keeps that: freed and filled anew meanwhile, it would be another's.
bool still_is(const AtomicWord& word, SlotWord seen) noexcept {
#if !defined(__SANITIZE_THREAD__)  // which does not know fences
  std::atomic_thread_fence(std::memory_order_acquire);
#endif
  return SlotWord(word.load(std::memory_order_acquire)).without_lock() == seen;
}

StoreStatus to_status(AllocateStatus status) noexcept {
  switch (status) {
    case AllocateStatus::kOk:
      return StoreStatus::kOk;
    case AllocateStatus::kOverLimit:
      return StoreStatus::kOverLimit;
    case AllocateStatus::kNoReserve:
      break;
  }
  return StoreStatus::kNoReserve;
}

}  // namespace

Store::Session::Impl::Impl(State& store_state, std::size_t session_index,
                           codec::PageCodec page_codec)
    : state(store_state),
      pool(store_state.pool),
      counters(store_state.counters[session_index]),
      index(session_index),
      codec(std::move(page_codec)) {
  // Everything that an operation touches is touched here, the codec's working memory and the code
  // itself among it, by way of one page that goes through it all.
  partial.fill(std::byte{1});
  compressed.fill(std::byte{0});
  std::uint64_t pattern = 0;
  (void)codec.kernels().same_filled(partial.data(), &pattern);
  const codec::Encoded encoded =
      codec.encode(partial.data(), compressed.data(), kCompressedBytesMax);
  (void)codec.decode(encoded.id, compressed.data(), encoded.size, partial.data());
  codec.kernels().fill(partial.data(), 0);
  if (state.backing) blocks.emplace(kObjectBlocksMax);
  if (state.groups) group = std::make_unique<std::array<std::byte, kGroupBytes>>();
}

Store::Session::Impl::~Impl() {
  const std::lock_guard guard(state.sessions_mutex);
  state.session_open[index] = false;
}

StoreStatus Store::Session::Impl::encode(std::uint64_t slot, const std::byte* page,
                                         SlotWord* word) noexcept {
  std::uint64_t deadline_ns = 0;
  while (true) {
    const std::uint32_t growth = state.reserve.growth();
    const StoreStatus status = encode_once(slot, page, word);
    if (status != StoreStatus::kNoReserve) return status;
    if (deadline_ns == 0) deadline_ns = monotonic_ns() + kReserveWait_ns;
    if (!state.reserve.await_growth(growth, deadline_ns)) return status;
  }
}

StoreStatus Store::Session::Impl::encode_once(std::uint64_t slot, const std::byte* page,
                                              SlotWord* word) noexcept {
  std::uint64_t pattern = 0;
  if (codec.kernels().same_filled(page, &pattern)) return encode_same(slot, pattern, word);
  const codec::Encoded encoded = codec.encode(page, compressed.data(), kCompressedBytesMax);
  if (encoded.size == 0) return encode_raw(slot, page, word);
  std::uint64_t location = 0;
  const AllocateStatus status = pool.allocate(object_bytes(encoded.size), true, &location);
  if (status != AllocateStatus::kOk) return to_status(status);
  *word = SlotWord::compressed(encoded.id, location, encoded.size);
  fill_object(slot, *word, compressed.data(), encoded.size);
  return StoreStatus::kOk;
}

StoreStatus Store::Session::Impl::encode_same(std::uint64_t slot, std::uint64_t pattern,
                                              SlotWord* word) noexcept {
  if (const auto inlined = SlotWord::same_filled(pattern)) {
    *word = *inlined;
    return StoreStatus::kOk;
  }
  std::uint64_t location = 0;
  const AllocateStatus status = pool.allocate(object_bytes(sizeof(pattern)), false, &location);
  if (status != AllocateStatus::kOk) return to_status(status);
  *word = SlotWord::same_object(location);
  fill_object(slot, *word, reinterpret_cast<const std::byte*>(&pattern), sizeof(pattern));
  return StoreStatus::kOk;
}

StoreStatus Store::Session::Impl::encode_raw(std::uint64_t slot, const std::byte* page,
                                             SlotWord* word) noexcept {
  std::uint64_t pool_page = 0;
  const AllocateStatus status = pool.allocate_page(&pool_page);
  if (status != AllocateStatus::kOk) return to_status(status);
  std::byte* const stored = pool.page(pool_page);
  std::memcpy(stored, page, kPageSize);
  // Of the copy, which nobody can change any more, and which is in the cache now.
  const std::uint64_t check = data_check(stored, kPageSize, slot, SlotWord::raw(pool_page, 0));
  pool.set_map_entry(pool_page, PageMapEntry::of_raw(check));
  *word = SlotWord::raw(pool_page, check);
  return StoreStatus::kOk;
}

void Store::Session::Impl::fill_object(std::uint64_t slot, SlotWord word, const std::byte* data,
                                       std::size_t length) noexcept {
  std::byte* const object = pool.at(word.location());
  const auto check = static_cast<std::uint32_t>(data_check(data, length, slot, word));
  store_first_word(object, static_cast<std::uint32_t>(slot));
  put(object + offsetof(ObjectHeader, check), check);
  std::memcpy(object + sizeof(ObjectHeader), data, length);
}

StoreStatus Store::Session::Impl::decode(std::uint64_t slot, SlotWord word,
                                         std::byte* page) noexcept {
  StoreStatus status = StoreStatus::kOk;
  if (word.inlined()) {
    codec.kernels().fill(page, word.pattern());
  } else if (word.kind() == Kind::kRaw) {
    status = decode_raw(slot, word, page);
  } else if (word.grouped()) {
    status = decode_grouped(slot, word, page);
  } else if (word.written_back()) {
    status = decode_written_back(slot, word, page);
  } else {
    status = decode_object(slot, word, page);
  }
  return status;
}

void Store::Session::Impl::note_damage(StoreStatus status, std::byte* page) noexcept {
  if (status == StoreStatus::kOk) return;
  std::memset(page, 0, kPageSize);
  Counters::add(status == StoreStatus::kCorrupt ? counters.corrupt : counters.backing_failures, 1);
}

StoreStatus Store::Session::Impl::decode_object(std::uint64_t slot, SlotWord word,
                                                std::byte* page) noexcept {
  const std::size_t length = word.data_bytes();
  if (!pool.contains(word.location(), sizeof(ObjectHeader) + length)) return StoreStatus::kCorrupt;
  return decode_bytes(slot, word, pool.at(word.location()), page);
}

StoreStatus Store::Session::Impl::decode_bytes(std::uint64_t slot, SlotWord word,
                                               const std::byte* object, std::byte* page) noexcept {
  const std::size_t length = word.data_bytes();
  const std::byte* const data = object + sizeof(ObjectHeader);
  bool sound = true;
  if (word.kind() == Kind::kSameObject) {
    codec.kernels().fill(page, load_u64(data));
  } else if (word.kind() == Kind::kRaw) {
    std::memcpy(page, data, kPageSize);
  } else {
    sound = codec::decode_page(codec.kernels(), word.codec(), data, length, page);
  }
  // Checked only now that the object is in the cache: a decoder, which takes any input, works on
  // its first lines while the others arrive, where the check would wait for all of them.
  sound = sound && has_sound_header(object, length, slot, word);
  return sound ? StoreStatus::kOk : StoreStatus::kCorrupt;
}

StoreStatus Store::Session::Impl::decode_written_back(std::uint64_t slot, SlotWord word,
                                                      std::byte* page) noexcept {
  if (!state.backing) return StoreStatus::kCorrupt;
  if (state.backing->read(word, blocks->data()) != 0) return StoreStatus::kBackingFailed;
  Counters::add(counters.backing_reads, static_cast<std::int64_t>(Backing::blocks_of(word).count));
  const SlotWord stored = word.before_write_back();
  const bool is_raw = stored.kind() == Kind::kRaw && stored.length() == kPageSize;
  if (!is_raw && stored.kind() != Kind::kCompressed) return StoreStatus::kCorrupt;
  return decode_bytes(slot, stored, blocks->data() + Backing::offset_in_blocks(word), page);
}

StoreStatus Store::Session::Impl::decode_raw(std::uint64_t slot, SlotWord word,
                                             std::byte* page) noexcept {
  const std::uint64_t pool_page = word.pool_page();
  if (!pool.contains(pool_page * kGranulesPerPage, kPageSize)) return StoreStatus::kCorrupt;
  std::memcpy(page, pool.page(pool_page), kPageSize);
  // Of the copy: what is returned is what was checked.
  const std::uint64_t check = data_check(page, kPageSize, slot, SlotWord::raw(pool_page, 0));
  const bool sound = SlotWord::raw(pool_page, check).raw_check() == word.raw_check() &&
                     pool.map_entry(pool_page) == PageMapEntry::of_raw(check);
  return sound ? StoreStatus::kOk : StoreStatus::kCorrupt;
}

StoreStatus Store::Session::Impl::decode_grouped(std::uint64_t slot, SlotWord word,
                                                 std::byte* page) noexcept {
  const std::uint64_t location = word.location();
  const std::size_t room = word.length() * kGranule;
  if (!group || !pool.contains(location, sizeof(GroupHeader) + room)) return StoreStatus::kCorrupt;
  std::byte* const object = pool.at(location);
  const std::uint64_t first = first_of_group(slot);
  const auto length = load<std::uint16_t>(object + offsetof(GroupHeader, length));
  const auto id = load<codec::CodecId>(object + offsetof(GroupHeader, codec));
  if (length == 0 || SlotWord::grouped(0, length).length() != word.length()) {
    return StoreStatus::kCorrupt;
  }
  const std::byte* const data = object + sizeof(GroupHeader);
  const std::size_t position = slot - first;
  const bool sound =
      codec::decode_group(codec.kernels(), id, data, length, group->data(), position + 1) &&
      first_word(object) == first && has_sound_group_check(object, room, first);
  if (!sound) return StoreStatus::kCorrupt;
  std::memcpy(page, group->data() + position * kPageSize, kPageSize);
  return StoreStatus::kOk;
}

void Store::Session::Impl::prefetch_object(std::uint64_t slot) const noexcept {
  const SlotWord word(state.slot_word(slot).load(std::memory_order_relaxed));
  // A damaged word's may be any address, which may be asked for as well.
  if (word.in_pool() && word.kind() != Kind::kRaw) __builtin_prefetch(pool.at(word.location()), 1);
}

void Store::Session::Impl::free_object(std::uint64_t slot, SlotWord word) noexcept {
  if (word.inlined()) return;
  if (word.written_back()) {
    if (state.backing) state.backing->release(word);
    return;
  }
  // A word that was damaged may point anywhere; then the object is lost and nothing else.
  if (!pool.contains(word.location(), kGranule)) return;
  if (word.kind() == Kind::kRaw) {
    pool.free_page(word.pool_page());
  } else if (const std::uint64_t first = first_of_group(slot);
             word.grouped() || find_members(state.slots, first, word.location()) != 0) {
    // A member whose kind was damaged, too, must not take the object from the others.
    if (pool.contains(word.location(), sizeof(GroupHeader))) {
      mend_group(first, word);
      pool.leave_group(word.location(), first, member_bit(slot));
    }
  } else if (has_own_object(slot, word)) {
    pool.free(word.location());
  }
}

// Whether the object that the word leads to is the slot's. Where damage has made its header name
// another slot the check tells, which is of the slot, too.
bool Store::Session::Impl::has_own_object(std::uint64_t slot, SlotWord word) const noexcept {
  std::byte* const object = pool.at(word.location());
  return first_word(object) == slot ||
         (pool.contains(word.location(), sizeof(ObjectHeader) + word.data_bytes()) &&
          has_sound_check(object, word.data_bytes(), slot, word));
}

// Has a group's header name the group again, where damage has made it name another slot and its
// check tells: nobody would free it.
void Store::Session::Impl::mend_group(std::uint64_t first, SlotWord member) noexcept {
  std::byte* const object = pool.at(member.location());
  const std::size_t room = member.length() * kGranule;
  if (first_word(object) == first || !member.grouped() ||
      !pool.contains(member.location(), sizeof(GroupHeader) + room)) {
    return;
  }
  if (has_sound_group_check(object, room, first)) {
    store_first_word(object, static_cast<std::uint32_t>(first));
  }
}

void Store::Session::Impl::replaced(std::uint64_t slot, SlotWord old, SlotWord fresh) noexcept {
  WordCounts counts;
  counts.add(fresh, 1);
  counts.add(old, -1);
  counts.count_in(counters);
  if (fresh.kind() == Kind::kRaw) Counters::add(counters.raw_ever, 1);
  free_object(slot, old);
}

StoreStatus Store::Session::Impl::failed_write(StoreStatus status) noexcept {
  Counters::add(counters.failed_writes, 1);
  if (status == StoreStatus::kNoReserve) Counters::add(counters.no_reserve, 1);
  if (status == StoreStatus::kOverLimit) Counters::add(counters.over_limit, 1);
  return status;
}

Store::Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Session::~Session() = default;

StoreStatus Store::Session::write(std::uint64_t slot, const std::byte* page) noexcept {
  AtomicWord& word = impl_->state.slot_word(slot);
  __builtin_prefetch(&word, 1);
  SlotWord fresh;
  const StoreStatus status = impl_->encode(slot, page, &fresh);
  if (status != StoreStatus::kOk) return impl_->failed_write(status);
  impl_->replaced(slot, publish(word, fresh, impl_->pool), fresh);
  return StoreStatus::kOk;
}

StoreStatus Store::Session::read(std::uint64_t slot, std::byte* page) noexcept {
  AtomicWord& word = impl_->state.slot_word(slot);
  StoreStatus status = StoreStatus::kOk;
  while (true) {
    const SlotWord seen = wait_unlocked(word);
    if (seen.in_pool() && !try_lock(word, seen)) continue;
    status = impl_->decode(slot, seen, page);
    // The word is written for the lock anyway, so that a page which was used just now costs
    // nothing.
    if (seen.in_pool()) unlock(word, seen.with_age(0));
    if (!seen.written_back() || still_is(word, seen)) break;
  }
  impl_->note_damage(status, page);
  if (status != StoreStatus::kOk) Counters::add(impl_->counters.failed_reads, 1);
  return status;
}

StoreStatus Store::Session::write_part(std::uint64_t slot, std::size_t offset,
                                       const std::byte* bytes, std::size_t length) noexcept {
  if (length == kPageSize) return write(slot, bytes);
  AtomicWord& word = impl_->state.slot_word(slot);
  // The lock is held throughout, also where the word is inlined, so that two writers of parts of
  // one page do not undo each other.
  SlotWord old = wait_unlocked(word);
  while (!try_lock(word, old)) old = wait_unlocked(word);
  std::byte* const page = impl_->partial.data();
  SlotWord fresh;
  StoreStatus status = impl_->decode(slot, old, page);
  impl_->note_damage(status, page);
  if (status == StoreStatus::kOk) {
    std::memcpy(page + offset, bytes, length);
    status = impl_->encode(slot, page, &fresh);
  }
  if (status != StoreStatus::kOk) {
    unlock(word, old.accessed());
    return impl_->failed_write(status);
  }
  impl_->pool.prepare_free(old);
  unlock(word, fresh.after(old));
  impl_->replaced(slot, old, fresh);
  return StoreStatus::kOk;
}

bool Store::Session::waits_for_backing(std::uint64_t slot, std::uint64_t count) const noexcept {
  return impl_->has_word(slot, count, [](SlotWord word) { return word.written_back(); });
}

bool Store::Session::waits_for_part(std::uint64_t slot, std::uint64_t count) const noexcept {
  return impl_->has_word(slot, count,
                         [](SlotWord word) { return word.written_back() && word.locked(); });
}

void Store::Session::discard(std::uint64_t slot, std::uint64_t count) noexcept {
  WordCounts counts;
  for (std::uint64_t i = slot; i < slot + count; ++i) {
    if (i + kDiscardAhead < slot + count) impl_->prefetch_object(i + kDiscardAhead);
    AtomicWord& word = impl_->state.slot_word(i);
    if (SlotWord(word.load(std::memory_order_acquire)).empty()) continue;
    const SlotWord old = publish(word, SlotWord(), impl_->pool);
    counts.add(old, -1);
    impl_->free_object(i, old);
  }
  counts.count_in(impl_->counters);
  Counters::add(impl_->counters.freed, static_cast<std::int64_t>(count));
}

}  // namespace pleat::store
