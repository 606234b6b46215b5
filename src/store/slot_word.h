// SPDX-License-Identifier: MIT OR Apache-2.0
// The slot word: all that the store knows of one page of the device, in 64 bits
// (docs/formats/store.md).
//
//   bits  0-37  location of the object, in granules of 4 bytes from the pool's start (1 TiB)
//        38-49  length - 1 of the compressed page, in bytes; of a group's data in granules, which
//        is
//               each page's share in bytes
//        50-53  kind: empty, same-filled, raw, compressed by codec n, grouped, or written back
//        54-56  age: how long ago the page was read or written last (store/ager.h); of words
//               without an object zero
//           57  settled: recompression has made the page smaller, or found that it cannot
//        58-62  version: one more, modulo 32, at each publication
//           63  lock
//
// A raw page begins at a page of the pool, so the low 10 bits of its location and the 12 of its
// length are free for part of its check. A same-filled page keeps its pattern in the low 50 bits
// where it fits: as a sign-extended number, which every pointer is, or as a repeated 32-bit value.
// The location of a page that is written back is on the backing device, in units of 64 bytes; bits
// 54-57 are the kind that it had.
//
// Thread safety: a value type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/page.h"
#include "codec/page_codec.h"

namespace pleat::store {

// The pool's unit of allocation and of locations: what an object's header is aligned to.
inline constexpr std::size_t kGranule = 4;
inline constexpr std::size_t kGranulesPerPage = kPageSize / kGranule;
inline constexpr unsigned kLocationBits = 38;
inline constexpr std::uint64_t kPoolBytesMax = kGranule << kLocationBits;
static_assert(kPoolBytesMax == std::uint64_t{1} << 40);
// The backing device's.
inline constexpr std::size_t kBackingUnit = 64;
inline constexpr std::uint64_t kBackingBytesMax = kBackingUnit << kLocationBits;
static_assert(kBackingBytesMax == std::uint64_t{16} << 40);

class SlotWord {
 public:
  enum class Kind : std::uint8_t {
    kEmpty = 0,
    kSameWord = 1,      // same-filled; the pattern is the low 50 bits, sign-extended
    kSameHalf = 2,      // same-filled; the pattern is the low 32 bits, twice
    kSameObject = 3,    // same-filled; the pattern is in an object of 8 bytes
    kRaw = 4,           // an incompressible page, in a pool page of its own
    kCompressed = 5,    // this and those up to 13: kCompressed + CodecId - 1
    kGrouped = 14,      // compressed with its neighbours, in an object that they share
    kWrittenBack = 15,  // the object, of a raw or compressed page, is on the backing device
  };
  // Bits of a raw page's check that the word keeps.
  static constexpr unsigned kRawCheckBits = 22;
  // Ages: 0 to kAgeMax grow by themselves, and kIdle is a mark that stays until the next access.
  static constexpr unsigned kAgeMax = 5;
  static constexpr unsigned kIdle = 6;
  // Idle, and being recompressed or written back.
  static constexpr unsigned kClaimed = 7;

  static constexpr unsigned kKindShift = 50;
  static constexpr std::uint64_t kKindMask = std::uint64_t{0xF} << kKindShift;

  constexpr SlotWord() = default;  // empty
  explicit constexpr SlotWord(std::uint64_t bits) : bits_(bits) {}

  // The word that keeps `pattern` itself, where that is possible.
  static constexpr std::optional<SlotWord> same_filled(std::uint64_t pattern) {
    const std::uint64_t low = pattern & kPayloadMask;
    if (sign_extended(low) == pattern) return SlotWord(low | kind_bits(Kind::kSameWord));
    if (pattern >> 32 == (pattern & 0xFFFFFFFF)) {
      return SlotWord((pattern & 0xFFFFFFFF) | kind_bits(Kind::kSameHalf));
    }
    return std::nullopt;
  }
  static constexpr SlotWord same_object(std::uint64_t location) {
    return SlotWord(location | kind_bits(Kind::kSameObject));
  }
  // `check`: its low kRawCheckBits are kept.
  static constexpr SlotWord raw(std::uint64_t pool_page, std::uint64_t check) {
    const std::uint64_t low = check & (kGranulesPerPage - 1);
    const std::uint64_t high = (check / kGranulesPerPage) & kLengthMask;
    return SlotWord(pool_page * kGranulesPerPage | low | high << kLocationBits |
                    kind_bits(Kind::kRaw));
  }
  // Precondition: 1 <= length <= 4096.
  static constexpr SlotWord compressed(codec::CodecId codec, std::uint64_t location,
                                       std::size_t length) {
    const auto kind =
        static_cast<std::uint64_t>(Kind::kCompressed) - 1 + static_cast<std::uint64_t>(codec);
    return SlotWord(location | std::uint64_t{length - 1} << kLocationBits | kind << kKindShift);
  }

  // Precondition: 1 <= length <= 16384, of the data of all pages of the group.
  static constexpr SlotWord grouped(std::uint64_t location, std::size_t length) {
    return SlotWord(location | std::uint64_t{(length - 1) / kGranule} << kLocationBits |
                    kind_bits(Kind::kGrouped));
  }

  // This word, which ages and is not grouped, with its object on the backing device, at a location
  // in its units.
  constexpr SlotWord written_back_to(std::uint64_t location) const {
    return SlotWord(location | std::uint64_t{stored_bytes() - 1} << kLocationBits |
                    kind_bits(Kind::kWrittenBack) | std::uint64_t{nibble()} << kAgeShift);
  }

  constexpr std::uint64_t bits() const { return bits_; }
  constexpr Kind kind() const {
    return nibble() < static_cast<unsigned>(Kind::kCompressed) ||
                   nibble() >= static_cast<unsigned>(Kind::kGrouped)
               ? static_cast<Kind>(nibble())
               : Kind::kCompressed;
  }
  constexpr bool empty() const { return kind() == Kind::kEmpty; }
  constexpr bool same_filled() const {
    return kind() >= Kind::kSameWord && kind() <= Kind::kSameObject;
  }
  constexpr bool grouped() const { return kind() == Kind::kGrouped; }
  constexpr bool written_back() const { return kind() == Kind::kWrittenBack; }
  // Whether the word says all there is to say: no object, and so no lock needed to read the page.
  constexpr bool inlined() const { return kind() <= Kind::kSameHalf; }
  // Whether the page is kept in an object or a page of the pool.
  constexpr bool in_pool() const { return !inlined() && !written_back(); }

  // Of kSameWord and kSameHalf; 0 of kEmpty, which reads as zeros.
  constexpr std::uint64_t pattern() const {
    if (kind() == Kind::kSameHalf) return (bits_ & 0xFFFFFFFF) * 0x1'0000'0001;
    return kind() == Kind::kSameWord ? sign_extended(bits_ & kPayloadMask) : 0;
  }
  // Of kSameObject, kCompressed and kGrouped in granules, of kWrittenBack in the backing device's
  // units.
  constexpr std::uint64_t location() const { return bits_ & kLocationMask; }
  // Of kRaw, in pages of the pool.
  constexpr std::uint64_t pool_page() const { return location() / kGranulesPerPage; }
  constexpr std::uint64_t raw_check() const {
    return (bits_ & (kGranulesPerPage - 1)) |
           (bits_ >> kLocationBits & kLengthMask) * kGranulesPerPage;
  }
  // Of kCompressed and kWrittenBack, in bytes; of kGrouped the page's share, a quarter of what the
  // data takes.
  constexpr std::size_t length() const {
    return static_cast<std::size_t>(bits_ >> kLocationBits & kLengthMask) + 1;
  }
  // Bytes of data in an object of a page's own: compressed ones, or the word that fills the page.
  constexpr std::size_t data_bytes() const {
    return kind() == Kind::kSameObject ? sizeof(std::uint64_t) : length();
  }
  // Bytes of a page that ages, as it is stored.
  constexpr std::size_t stored_bytes() const { return kind() == Kind::kRaw ? kPageSize : length(); }
  // Whether the page is kept in an object of its own at `location`.
  constexpr bool has_object_at(std::uint64_t location) const {
    return in_pool() && kind() != Kind::kRaw && !grouped() && this->location() == location;
  }
  // Whether the page is kept in the object of a group at `location`.
  constexpr bool is_member_at(std::uint64_t location) const {
    return grouped() && this->location() == location;
  }
  // This word with its object at another place.
  constexpr SlotWord moved_to(std::uint64_t location) const {
    return SlotWord((bits_ & ~kLocationMask) | location);
  }
  // Of kWrittenBack: the word that its page's check was made with, but for the location. A damaged
  // word may give any.
  constexpr SlotWord before_write_back() const {
    return SlotWord(std::uint64_t{length() - 1} << kLocationBits | (bits_ >> kAgeShift & 0xF)
                                                                       << kKindShift);
  }
  constexpr codec::CodecId codec() const {
    return static_cast<codec::CodecId>(nibble() - static_cast<unsigned>(Kind::kCompressed) + 1);
  }

  // Whether the word has an age: compressed, grouped and raw pages do, since only they can be made
  // smaller or be put elsewhere.
  constexpr bool ages() const { return kind() >= Kind::kRaw && !written_back(); }
  constexpr unsigned age() const { return bits_ >> kAgeShift & kAgeMask; }
  constexpr SlotWord with_age(unsigned age) const {
    return SlotWord((bits_ & ~(kAgeMask << kAgeShift)) | std::uint64_t{age} << kAgeShift);
  }

  // This word after an access.
  constexpr SlotWord accessed() const { return ages() ? with_age(0) : *this; }

  constexpr bool settled() const { return (bits_ & kSettled) != 0; }
  constexpr SlotWord with_settled(bool settled) const {
    return SlotWord(settled ? bits_ | kSettled : bits_ & ~kSettled);
  }

  constexpr std::uint8_t version() const {
    return static_cast<std::uint8_t>(bits_ >> kVersionShift & kVersionMask);
  }
  // This word with the version that follows that of `old`, the word it is to replace. The version
  // runs on through empty and same-filled words: who copied a page and comes back later sees from
  // it that the slot was written meanwhile, although the new object may lie where the old one did.
  constexpr SlotWord after(SlotWord old) const {
    const std::uint64_t version = (old.version() + 1u) & kVersionMask;
    return SlotWord((bits_ & ~(kVersionMask << kVersionShift)) | version << kVersionShift);
  }

  constexpr bool locked() const { return (bits_ & kLock) != 0; }
  constexpr SlotWord with_lock() const { return SlotWord(bits_ | kLock); }
  constexpr SlotWord without_lock() const { return SlotWord(bits_ & ~kLock); }

  constexpr bool operator==(const SlotWord&) const = default;

 private:
  static constexpr std::uint64_t kLocationMask = (std::uint64_t{1} << kLocationBits) - 1;
  static constexpr std::uint64_t kLengthMask = 0xFFF;
  static constexpr std::uint64_t kPayloadMask = (std::uint64_t{1} << kKindShift) - 1;
  static constexpr unsigned kAgeShift = 54;
  static constexpr std::uint64_t kAgeMask = 7;
  static constexpr std::uint64_t kSettled = std::uint64_t{1} << 57;
  static constexpr unsigned kVersionShift = 58;
  static constexpr std::uint64_t kVersionMask = 0x1F;
  static constexpr std::uint64_t kLock = std::uint64_t{1} << 63;
  static_assert(kLengthMask + 1 == kPageSize && kLocationBits + 12 == kKindShift);

  static constexpr std::uint64_t kind_bits(Kind kind) {
    return static_cast<std::uint64_t>(kind) << kKindShift;
  }
  static constexpr std::uint64_t sign_extended(std::uint64_t low) {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(low << (64 - kKindShift)) >>
                                      (64 - kKindShift));
  }
  constexpr unsigned nibble() const { return bits_ >> kKindShift & 0xF; }

  std::uint64_t bits_ = 0;
};

static_assert(sizeof(SlotWord) == 8);
// The word's 22 bits are the 10 of the location below a page and the 12 of the length.
static_assert(kGranulesPerPage * 4096 == 1u << SlotWord::kRawCheckBits);

}  // namespace pleat::store
