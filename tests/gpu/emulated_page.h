// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages and blocks for kernels that are run by the emulator: buffers with nothing behind them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "codec/guarded_buffer.h"
#include "gpu/page_status.h"
#include "gpu/simt/emulator.h"

namespace pleat::gpu {

using Block = std::vector<std::byte>;

// What a kernel that decompresses made of a block.
struct Decompressed {
  PageStatus status;
  std::vector<std::byte> page;
  std::string fault;  // a rule of simt.h that it broke
};

// The block as kernels get it: aligned to 16, and readable to the next multiple of 16 only. The
// rest of the last 16 bytes is noise.
class EmulatedPage {
 public:
  using Decompress = std::function<PageStatus(Warp&, const std::byte*, std::uint32_t, std::byte*)>;
  using Compress = std::function<std::uint32_t(Warp&, const std::byte*, std::byte*, std::uint32_t)>;

  Decompressed decompress(Emulator& emulator, const Decompress& kernel, const Block& block) {
    // Of a block that is too large for any kernel, the beginning is enough: it is not read.
    const std::size_t readable =
        std::min((block.size() + 15) / 16 * 16, test::GuardedBuffer::kBytes);
    std::byte* const src = in_.last(readable);
    std::memset(src, 0xB7, readable);
    if (!block.empty()) std::memcpy(src, block.data(), std::min(block.size(), readable));
    std::byte* const page = out_.last(kPageSize);
    std::memset(page, 0xAA, kPageSize);
    PageStatus statuses[kWarpLanes];
    Decompressed result;
    result.fault = emulator.run([&](Warp& warp) {
      statuses[warp.lane()] = kernel(warp, src, static_cast<std::uint32_t>(block.size()), page);
    });
    result.status = statuses[0];
    if (result.fault.empty()) {
      for (const PageStatus status : statuses) EXPECT_EQ(status, result.status);
    }
    result.page.assign(page, page + kPageSize);
    return result;
  }

  // The block that a kernel made of a page, of at most `capacity` bytes, a multiple of 16; empty
  // where it did not fit. The kernel returns its size in all lanes.
  Block compress(Emulator& emulator, const Compress& kernel, const std::byte* page,
                 std::uint32_t capacity) {
    std::byte* const src = in_.last(kPageSize);
    std::memcpy(src, page, kPageSize);
    std::byte* const dst = out_.last(capacity);
    std::uint32_t sizes[kWarpLanes];
    const std::string fault =
        emulator.run([&](Warp& warp) { sizes[warp.lane()] = kernel(warp, src, dst, capacity); });
    EXPECT_EQ(fault, "");
    if (!fault.empty()) return {};
    for (const std::uint32_t size : sizes) EXPECT_EQ(size, sizes[0]);
    EXPECT_LE(sizes[0], capacity);
    return {dst, dst + sizes[0]};
  }

 private:
  test::GuardedBuffer in_;
  test::GuardedBuffer out_;
};

// Each barrier of a kernel is needed: without it, one of the inputs makes it break a rule that the
// emulator finds. `run(emulator, input)` runs the kernel and returns the fault.
template <typename Inputs, typename Run>
void expect_all_barriers_needed(std::size_t scratch_bytes, std::size_t at_least,
                                const Inputs& inputs, const Run& run) {
  Emulator whole(scratch_bytes);
  for (const auto& input : inputs) ASSERT_EQ(run(whole, input), "");
  ASSERT_GE(whole.syncs_seen().size(), at_least);
  for (const Warp::Place& place : whole.syncs_seen()) {
    Emulator without(scratch_bytes);
    without.remove_sync(place);
    EXPECT_TRUE(std::any_of(std::begin(inputs), std::end(inputs),
                            [&](const auto& input) { return !run(without, input).empty(); }))
        << "the barrier in line " << place.line() << " is not needed";
  }
}

}  // namespace pleat::gpu
