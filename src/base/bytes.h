// SPDX-License-Identifier: MIT OR Apache-2.0
// Unaligned, alias-safe loads and stores. All formats of ours, and LZ4, are little-endian; so is
// every machine that Pleat builds for.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pleat {

static_assert(std::endian::native == std::endian::little);

template <typename T>
[[gnu::always_inline]] inline T load(const void* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

[[gnu::always_inline]] inline std::uint16_t load_u16(const void* from) noexcept {
  return load<std::uint16_t>(from);
}
[[gnu::always_inline]] inline std::uint32_t load_u32(const void* from) noexcept {
  return load<std::uint32_t>(from);
}
[[gnu::always_inline]] inline std::uint64_t load_u64(const void* from) noexcept {
  return load<std::uint64_t>(from);
}

// The number that `count` bytes are, 0 to 8.
[[gnu::always_inline]] inline std::uint64_t load_bytes(const std::byte* from,
                                                       std::size_t count) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= static_cast<std::uint64_t>(from[i]) << 8 * i;
  return value;
}

// Not named store(): that is the namespace of src/store.
template <typename T>
[[gnu::always_inline]] inline void put(void* to, T value) noexcept {
  std::memcpy(to, &value, sizeof(value));
}

}  // namespace pleat
