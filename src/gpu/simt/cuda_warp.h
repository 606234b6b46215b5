// SPDX-License-Identifier: MIT OR Apache-2.0
// The warp of simt.h on a GPU: each call is an instruction or two. What the calls mean is written
// down in emulated_warp.h.
#pragma once

#include "gpu/simt/simt.h"

#define PLEAT_DEVICE __device__ __forceinline__
#define PLEAT_TABLE static __device__ const
#define PLEAT_PRAGMA(text) _Pragma(#text)
#define PLEAT_UNROLL(times) PLEAT_PRAGMA(unroll times)

namespace pleat::gpu {

PLEAT_DEVICE unsigned popcount(std::uint32_t value) { return __popc(value); }
PLEAT_DEVICE unsigned leading_zeros(std::uint32_t value) { return __clz(static_cast<int>(value)); }
PLEAT_DEVICE unsigned trailing_zeros(std::uint32_t value) {
  return __clz(static_cast<int>(__brev(value)));
}
PLEAT_DEVICE std::uint32_t highest_bit(std::uint32_t value) {
  std::uint32_t bit;
  asm("bfind.u32 %0, %1;" : "=r"(bit) : "r"(value));
  return bit;
}
PLEAT_DEVICE std::uint32_t pick_bytes(std::uint32_t low, std::uint32_t high,
                                      std::uint32_t selector) {
  return __byte_perm(low, high, selector);
}
PLEAT_DEVICE std::uint32_t funnel_right(std::uint32_t low, std::uint32_t high,
                                        std::uint32_t shift) {
  return __funnelshift_r(low, high, shift);
}
PLEAT_DEVICE std::uint32_t funnel_right_clamped(std::uint32_t low, std::uint32_t high,
                                                std::uint32_t shift) {
  return __funnelshift_rc(low, high, shift);
}
PLEAT_DEVICE std::uint32_t funnel_left(std::uint32_t low, std::uint32_t high, std::uint32_t shift) {
  return __funnelshift_l(low, high, shift);
}
PLEAT_DEVICE std::uint32_t dot_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t sum) {
  return __dp4a(a, b, sum);
}

PLEAT_DEVICE std::uint32_t global_u32(const void* from) {
  return *static_cast<const std::uint32_t*>(from);
}
PLEAT_DEVICE Words4 global_words4(const void* from) {
  const uint4 words = *static_cast<const uint4*>(from);
  return {{words.x, words.y, words.z, words.w}};
}
PLEAT_DEVICE void put_global_u8(void* to, std::uint32_t value) {
  *static_cast<std::uint8_t*>(to) = static_cast<std::uint8_t>(value);
}
PLEAT_DEVICE void put_global_u32(void* to, std::uint32_t value) {
  *static_cast<std::uint32_t*>(to) = value;
}
PLEAT_DEVICE void put_global_u64(void* to, std::uint32_t low, std::uint32_t high) {
  *static_cast<uint2*>(to) = make_uint2(low, high);
}
PLEAT_DEVICE void put_global_words4(void* to, const Words4& words) {
  *static_cast<uint4*>(to) = make_uint4(words.word[0], words.word[1], words.word[2], words.word[3]);
}

class Warp {
 public:
  // `scratch` is this warp's part of the block's shared memory, aligned to 16.
  PLEAT_DEVICE explicit Warp(char* scratch)
      : scratch_(hold_address(scratch)), lane_(threadIdx.x % kWarpLanes) {}

  PLEAT_DEVICE unsigned lane() const { return lane_; }

  PLEAT_DEVICE void sync() { __syncwarp(); }
  PLEAT_DEVICE std::uint32_t ballot(bool value) { return __ballot_sync(kAll, value); }
  PLEAT_DEVICE bool any(bool value) { return __any_sync(kAll, value) != 0; }
  PLEAT_DEVICE bool all(bool value) { return __all_sync(kAll, value) != 0; }
  PLEAT_DEVICE std::uint32_t shuffle(std::uint32_t value, unsigned from) {
    return __shfl_sync(kAll, value, from);
  }
  PLEAT_DEVICE std::uint32_t shuffle_up(std::uint32_t value, unsigned distance) {
    return __shfl_up_sync(kAll, value, distance);
  }
  PLEAT_DEVICE std::uint32_t shuffle_xor(std::uint32_t value, unsigned mask) {
    return __shfl_xor_sync(kAll, value, mask);
  }
  PLEAT_DEVICE std::uint32_t add_from_below(std::uint32_t value, unsigned distance) {
    asm volatile(
        "{ .reg .u32 from; .reg .pred there;\n"
        "shfl.sync.up.b32 from|there, %0, %1, 0, 0xFFFFFFFF;\n"
        "@there add.u32 %0, %0, from; }"
        : "+r"(value)
        : "r"(distance));
    return value;
  }
  PLEAT_DEVICE std::uint32_t match_any(std::uint32_t value) {
    return __match_any_sync(kAll, value);
  }
  PLEAT_DEVICE std::uint32_t reduce_add(std::uint32_t value) {
    return __reduce_add_sync(kAll, value);
  }
  PLEAT_DEVICE std::uint32_t reduce_or(std::uint32_t value) {
    return __reduce_or_sync(kAll, value);
  }

  PLEAT_DEVICE std::uint32_t u8(std::uint32_t at) { return *as<std::uint8_t>(at); }
  PLEAT_DEVICE std::uint32_t u16(std::uint32_t at) { return *as<std::uint16_t>(at); }
  PLEAT_DEVICE std::uint32_t u32(std::uint32_t at) { return *as<std::uint32_t>(at); }
  PLEAT_DEVICE void u64(std::uint32_t at, std::uint32_t* low, std::uint32_t* high) {
    const uint2 words = *as<uint2>(at);
    *low = words.x;
    *high = words.y;
  }
  PLEAT_DEVICE Words4 words4(std::uint32_t at) { return global_words4(as<uint4>(at)); }
  PLEAT_DEVICE void put_u8(std::uint32_t at, std::uint32_t value) {
    *as<std::uint8_t>(at) = static_cast<std::uint8_t>(value);
  }
  PLEAT_DEVICE void put_u16(std::uint32_t at, std::uint32_t value) {
    *as<std::uint16_t>(at) = static_cast<std::uint16_t>(value);
  }
  PLEAT_DEVICE void put_u32(std::uint32_t at, std::uint32_t value) {
    *as<std::uint32_t>(at) = value;
  }
  PLEAT_DEVICE void put_u64(std::uint32_t at, std::uint32_t low, std::uint32_t high) {
    *as<uint2>(at) = make_uint2(low, high);
  }
  PLEAT_DEVICE void put_words4(std::uint32_t at, const Words4& words) {
    put_global_words4(as<uint4>(at), words);
  }
  PLEAT_DEVICE void or_u32(std::uint32_t at, std::uint32_t value) {
    atomicOr(as<std::uint32_t>(at), value);
  }
  PLEAT_DEVICE void max_u32(std::uint32_t at, std::uint32_t value) {
    atomicMax(as<std::uint32_t>(at), value);
  }

  // For tools/gpu-instructions: an instruction that marks each copy of a phase.
  PLEAT_DEVICE void count(unsigned /*phase*/) {
#ifdef PLEAT_MARK_PHASES
    asm volatile("pmevent 1;");
#endif
  }

 private:
  static constexpr std::uint32_t kAll = 0xFFFFFFFF;

  // The same address, by a shuffle: where the compiler sees what it is made from, it makes it anew
  // in each loop, of three instructions where blocks have clusters.
  PLEAT_DEVICE static unsigned hold_address(char* scratch) {
    return __shfl_sync(kAll, static_cast<unsigned>(__cvta_generic_to_shared(scratch)), 0);
  }

  template <typename T>
  PLEAT_DEVICE T* as(std::uint32_t at) {
    return static_cast<T*>(__cvta_shared_to_generic(scratch_ + at));
  }

  // An address within the block's shared memory: sums of 32 bits, not of 64, can be left to the
  // instruction that reads or writes.
  unsigned scratch_;
  unsigned lane_;
};

}  // namespace pleat::gpu
