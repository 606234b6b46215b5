// SPDX-License-Identifier: MIT OR Apache-2.0
// What an object of the pool looks like: a header of 8 bytes, then the data, the whole rounded up
// to granules (docs/formats/store.md). Raw pages are not objects: they fill a pool page, and their
// check is kept in the slot word and the page map.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/page.h"
#include "store/check.h"
#include "store/slot_word.h"

namespace pleat::store {

struct ObjectHeader {
  // Whose object this is. With the slot words lost to nobody it is redundant; it tells a swapped
  // object from the right one, and lets compaction find the word that points here.
  std::uint32_t slot;
  std::uint32_t check;
};
static_assert(sizeof(ObjectHeader) == 8 && alignof(ObjectHeader) <= kGranule);

// The first word of an object: its slot, or, while it is free, what the pool keeps there. Atomic,
// because compaction looks for the slots of a span's objects while writers fill and free some.
inline void store_first_word(std::byte* object, std::uint32_t value) noexcept {
  std::atomic_ref(*reinterpret_cast<std::uint32_t*>(object))
      .store(value, std::memory_order_relaxed);
}
inline std::uint32_t first_word(std::byte* object) noexcept {
  return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(object)).load(std::memory_order_relaxed);
}

// Bytes of pool that an object with `length` bytes of data takes.
constexpr std::size_t object_bytes(std::size_t length) {
  return (sizeof(ObjectHeader) + length + kGranule - 1) / kGranule * kGranule;
}

// The check of `length` bytes that belong to `slot` and are of the kind that the word's kind bits
// say. It covers all of these.
inline std::uint64_t data_check(const std::byte* data, std::size_t length, std::uint64_t slot,
                                SlotWord word) noexcept {
  return check_bytes(data, length, slot ^ (word.bits() & SlotWord::kKindMask));
}

// Writes the header of an object that nobody knows yet, whose `length` bytes of data are there.
inline void put_header(std::byte* object, std::size_t length, std::uint64_t slot,
                       SlotWord word) noexcept {
  const auto check =
      static_cast<std::uint32_t>(data_check(object + sizeof(ObjectHeader), length, slot, word));
  put(object, ObjectHeader{static_cast<std::uint32_t>(slot), check});
}

// Whether the object's check says that its `length` bytes of data are this slot's, and as they
// were.
inline bool has_sound_check(const std::byte* object, std::size_t length, std::uint64_t slot,
                            SlotWord word) noexcept {
  return load<std::uint32_t>(object + offsetof(ObjectHeader, check)) ==
         static_cast<std::uint32_t>(data_check(object + sizeof(ObjectHeader), length, slot, word));
}
// The same of its header, which names the slot as well.
inline bool has_sound_header(const std::byte* object, std::size_t length, std::uint64_t slot,
                             SlotWord word) noexcept {
  return load<std::uint32_t>(object) == slot && has_sound_check(object, length, slot, word);
}

}  // namespace pleat::store
