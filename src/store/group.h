// SPDX-License-Identifier: MIT OR Apache-2.0
// What the object of a group looks like: four neighbouring pages, of slots 4g to 4g + 3, that
// recompression has made one block (docs/formats/store.md).
//
// The words of the group's slots that lead to it are its members, and each of them is replaced by
// itself. Who replaces one takes its bit from the header afterwards, and who takes the last bit
// frees the object. So a process that dies in between leaves a bit too many and never one too few,
// and taking over makes the bits anew from the words.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/page.h"
#include "codec/page_codec.h"
#include "store/object.h"
#include "store/size_class.h"
#include "store/slot_table.h"
#include "store/slot_word.h"

namespace pleat::store {

struct GroupHeader {
  std::uint32_t slot;   // the first one
  std::uint32_t check;  // of the data, but not of the members
  std::uint8_t members;
  codec::CodecId codec;
  std::uint16_t length;  // of the data, in bytes
};
static_assert(sizeof(GroupHeader) == 12 && sizeof(GroupHeader) <= kObjectBytesMin);
static_assert(offsetof(GroupHeader, check) == offsetof(ObjectHeader, check));

inline constexpr std::size_t kGroupDataBytesMax = kObjectBytesMax - sizeof(GroupHeader);
inline constexpr unsigned kAllMembers = (1u << kGroupPages) - 1;

constexpr std::size_t group_object_bytes(std::size_t length) {
  return (sizeof(GroupHeader) + length + kGranule - 1) / kGranule * kGranule;
}

constexpr std::uint64_t first_of_group(std::uint64_t slot) {
  return slot / kGroupPages * kGroupPages;
}
constexpr unsigned member_bit(std::uint64_t slot) { return 1u << slot % kGroupPages; }

// Which slots' words lead to the object. Atomic, as each is replaced by whoever uses its page.
inline std::atomic_ref<std::uint8_t> members_of(std::byte* object) noexcept {
  return std::atomic_ref(*reinterpret_cast<std::uint8_t*>(object + offsetof(GroupHeader, members)));
}

// The words from `first` on that lead to `location` as members, a bit each.
inline unsigned find_members(const SlotTable& slots, std::uint64_t first,
                             std::uint64_t location) noexcept {
  unsigned members = 0;
  if (first % kGroupPages != 0) return members;
  for (std::uint64_t slot = first; slot < first + kGroupPages && slot < slots.size(); ++slot) {
    const SlotWord word(slots[slot].load(std::memory_order_acquire));
    if (word.is_member_at(location)) members |= member_bit(slot);
  }
  return members;
}

inline std::uint32_t group_check(const std::byte* data, std::size_t length, std::uint64_t first,
                                 codec::CodecId codec) noexcept {
  const std::uint64_t codec_bits = std::uint64_t{static_cast<std::uint8_t>(codec)} << 56;
  return static_cast<std::uint32_t>(
      data_check(data, length, first ^ codec_bits, SlotWord::grouped(0, length)));
}

// Whether the object's check says that its data, at most `room` bytes, are this group's, and as
// they were.
inline bool has_sound_group_check(const std::byte* object, std::size_t room,
                                  std::uint64_t first) noexcept {
  const auto length = load<std::uint16_t>(object + offsetof(GroupHeader, length));
  const auto id = load<codec::CodecId>(object + offsetof(GroupHeader, codec));
  return length <= room && load<std::uint32_t>(object + offsetof(GroupHeader, check)) ==
                               group_check(object + sizeof(GroupHeader), length, first, id);
}

// Fills an object that nobody knows yet.
inline void fill_group(std::byte* object, std::uint64_t first, unsigned members,
                       codec::CodecId codec, const std::byte* data, std::size_t length) noexcept {
  store_first_word(object, static_cast<std::uint32_t>(first));
  put(object + offsetof(GroupHeader, check), group_check(data, length, first, codec));
  members_of(object).store(static_cast<std::uint8_t>(members), std::memory_order_relaxed);
  put(object + offsetof(GroupHeader, codec), codec);
  put(object + offsetof(GroupHeader, length), static_cast<std::uint16_t>(length));
  std::memcpy(object + sizeof(GroupHeader), data, length);
}

// Copies an object of `bytes` to one that nobody knows yet, for some of its members.
inline void copy_group(std::byte* to, std::byte* from, std::size_t bytes,
                       unsigned members) noexcept {
  store_first_word(to, first_word(from));
  std::memcpy(to + offsetof(GroupHeader, check), from + offsetof(GroupHeader, check),
              sizeof(GroupHeader::check));
  members_of(to).store(static_cast<std::uint8_t>(members), std::memory_order_relaxed);
  constexpr std::size_t kRest = offsetof(GroupHeader, codec);
  std::memcpy(to + kRest, from + kRest, bytes - kRest);
}

}  // namespace pleat::store
