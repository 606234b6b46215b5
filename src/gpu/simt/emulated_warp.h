// SPDX-License-Identifier: MIT OR Apache-2.0
// The warp of simt.h on a CPU: what each call means, and what the emulator checks there.
#pragma once

#include <bit>
#include <cstring>
#include <source_location>

#include "gpu/simt/simt.h"

#define PLEAT_DEVICE inline
// A constant in the GPU's own memory, which lanes may read at any place.
#define PLEAT_TABLE inline constexpr
#define PLEAT_UNROLL(times)

namespace pleat::gpu {

// Bits that are set; zero bits above the highest one, and below the lowest one: 32 of 0.
inline unsigned popcount(std::uint32_t value) {
  return static_cast<unsigned>(std::popcount(value));
}
inline unsigned leading_zeros(std::uint32_t value) {
  return static_cast<unsigned>(std::countl_zero(value));
}
inline unsigned trailing_zeros(std::uint32_t value) {
  return static_cast<unsigned>(std::countr_zero(value));
}

// The highest bit that is set: 0xFFFFFFFF of 0.
inline std::uint32_t highest_bit(std::uint32_t value) { return 31 - leading_zeros(value); }

// Four of eight bytes, those of `low` being 0 to 3: nibble i of the selector says which one byte i
// of the result is. A nibble of 8 or more yields copies of the sign bit of byte nibble - 8.
inline std::uint32_t pick_bytes(std::uint32_t low, std::uint32_t high, std::uint32_t selector) {
  const std::uint64_t bytes = low | std::uint64_t{high} << 32;
  std::uint32_t picked = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned nibble = selector >> 4 * i & 15;
    auto byte = static_cast<std::uint8_t>(bytes >> 8 * (nibble & 7));
    if (nibble >= 8) byte = (byte & 0x80) != 0 ? 0xFF : 0;
    picked |= std::uint32_t{byte} << 8 * i;
  }
  return picked;
}

// The low word of high:low shifted right: by shift modulo 32, or by at most 32.
inline std::uint32_t funnel_right(std::uint32_t low, std::uint32_t high, std::uint32_t shift) {
  return static_cast<std::uint32_t>((std::uint64_t{high} << 32 | low) >> (shift & 31));
}
inline std::uint32_t funnel_right_clamped(std::uint32_t low, std::uint32_t high,
                                          std::uint32_t shift) {
  return shift >= 32 ? high : funnel_right(low, high, shift);
}

// The high word of high:low shifted left by shift modulo 32.
inline std::uint32_t funnel_left(std::uint32_t low, std::uint32_t high, std::uint32_t shift) {
  return static_cast<std::uint32_t>((std::uint64_t{high} << 32 | low) << (shift & 31) >> 32);
}

// sum + the products of the four bytes of each, without signs.
inline std::uint32_t dot_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t sum) {
  for (unsigned i = 0; i < 32; i += 8) sum += (a >> i & 0xFF) * (b >> i & 0xFF);
  return sum;
}

// Ends the kernel that this thread emulates: run() returns the message.
[[noreturn]] void emulated_fault(const char* message);

// The caller's buffers, in the GPU's own memory. Addresses are aligned to the size.
template <typename T>
void check_aligned(const void* address) {
  if (reinterpret_cast<std::uintptr_t>(address) % sizeof(T) != 0) {
    emulated_fault("an access to global memory is not aligned to its size");
  }
}
template <typename T>
T emulated_load(const void* from) {
  check_aligned<T>(from);
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}
template <typename T>
void emulated_store(void* to, const T& value) {
  check_aligned<T>(to);
  std::memcpy(to, &value, sizeof(T));
}
inline std::uint32_t global_u32(const void* from) { return emulated_load<std::uint32_t>(from); }
inline Words4 global_words4(const void* from) { return emulated_load<Words4>(from); }
inline void put_global_u8(void* to, std::uint32_t value) {
  emulated_store(to, static_cast<std::uint8_t>(value));
}
inline void put_global_u32(void* to, std::uint32_t value) { emulated_store(to, value); }
inline void put_global_u64(void* to, std::uint32_t low, std::uint32_t high) {
  emulated_store(to, low | std::uint64_t{high} << 32);
}
inline void put_global_words4(void* to, const Words4& words) { emulated_store(to, words); }

class Emulator;

// Where in the source a collective is called.
#ifdef __clang__
// clang 14 has no std::source_location, but what it is made of.
class Place {
 public:
  static constexpr Place current(const char* file = __builtin_FILE(),
                                 unsigned line = __builtin_LINE(),
                                 unsigned column = __builtin_COLUMN()) {
    Place place;
    place.file_ = file;
    place.line_ = line;
    place.column_ = column;
    return place;
  }
  constexpr const char* file_name() const { return file_; }
  constexpr unsigned line() const { return line_; }
  constexpr unsigned column() const { return column_; }

 private:
  const char* file_ = "";
  unsigned line_ = 0;
  unsigned column_ = 0;
};
#else
using Place = std::source_location;
#endif

// One lane's view of its warp. A collective ends when all 32 lanes have called it; the last
// argument, the place of the call, is how the emulator tells whether they called the same one.
class Warp {
 public:
  using Place = gpu::Place;

  Warp(Emulator& emulator, unsigned lane) : emulator_(&emulator), lane_(lane) {}

  unsigned lane() const { return lane_; }

  // What lanes wrote to scratch memory before is read by all lanes after.
  void sync(Place place = Place::current());

  // The lanes whose value is true, lane 0 in the lowest bit.
  std::uint32_t ballot(bool value, Place place = Place::current());
  bool any(bool value, Place place = Place::current()) { return ballot(value, place) != 0; }
  bool all(bool value, Place place = Place::current()) {
    return ballot(value, place) == 0xFFFFFFFF;
  }

  // The value of another lane: `from` modulo 32; that many lanes below, or the lane's own where
  // there is none; the one whose number differs in the mask's bits.
  std::uint32_t shuffle(std::uint32_t value, unsigned from, Place place = Place::current());
  std::uint32_t shuffle_up(std::uint32_t value, unsigned distance, Place place = Place::current());
  std::uint32_t shuffle_xor(std::uint32_t value, unsigned mask, Place place = Place::current());

  // The value, plus that of the lane so many below, where there is one.
  std::uint32_t add_from_below(std::uint32_t value, unsigned distance,
                               Place place = Place::current());

  // The lanes that have the same value as this one.
  std::uint32_t match_any(std::uint32_t value, Place place = Place::current());

  // Over all lanes.
  std::uint32_t reduce_add(std::uint32_t value, Place place = Place::current());
  std::uint32_t reduce_or(std::uint32_t value, Place place = Place::current());

  // Scratch memory, shared by the lanes: `at` in bytes from its start, aligned to the size.
  std::uint32_t u8(std::uint32_t at);
  std::uint32_t u16(std::uint32_t at);
  std::uint32_t u32(std::uint32_t at);
  void u64(std::uint32_t at, std::uint32_t* low, std::uint32_t* high);
  Words4 words4(std::uint32_t at);
  void put_u8(std::uint32_t at, std::uint32_t value);
  void put_u16(std::uint32_t at, std::uint32_t value);
  void put_u32(std::uint32_t at, std::uint32_t value);
  void put_u64(std::uint32_t at, std::uint32_t low, std::uint32_t high);
  void put_words4(std::uint32_t at, const Words4& words);
  // Sets bits of a word; lanes may do so to one word at once.
  void or_u32(std::uint32_t at, std::uint32_t value);
  // Keeps the larger value of a word; the same.
  void max_u32(std::uint32_t at, std::uint32_t value);

  // Says that a part of the kernel runs once more; the emulator counts how often a warp runs it:
  // where lanes differ, as often as the lane that runs it most between two collectives. Nothing on
  // a GPU. `phase` is below kPhasesMax.
  void count(unsigned phase);

 private:
  Emulator* emulator_;
  unsigned lane_;
};

}  // namespace pleat::gpu
