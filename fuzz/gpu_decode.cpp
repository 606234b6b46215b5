// SPDX-License-Identifier: MIT OR Apache-2.0
// Any bytes to the kernels that decompress, in the emulator, in an order of lanes that the input
// chooses: no rule of simt.h is broken, and each judges as the CPU's decoder does and makes its
// page.
#include <cstring>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "fuzz_target.h"
#include "gpu/line/warp_line_decompress.h"
#include "gpu/lz4/warp_lz4_decompress_plain.h"
#include "gpu/lz4/warp_lz4_decompress_speculative.h"
#include "gpu/simt/emulator.h"

namespace {

using pleat::gpu::Emulator;
using pleat::gpu::PageStatus;
using pleat::gpu::Warp;

struct Kernel {
  std::size_t scratch;
  PageStatus (*run)(Warp&, const std::byte*, std::uint32_t, std::byte*);
  bool is_line;
};

constexpr Kernel kKernels[] = {
    {pleat::gpu::kLineDecompressScratch, pleat::gpu::warp_line_decompress, true},
    {pleat::gpu::kLz4PlainScratch, pleat::gpu::warp_lz4_decompress_plain, false},
    {pleat::gpu::kLz4SpeculativeScratch, pleat::gpu::warp_lz4_decompress_speculative, false},
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const pleat::test::GuardedBuffer in;
  static const pleat::test::GuardedBuffer out;
  static const pleat::test::GuardedBuffer expected;
  static Emulator emulators[] = {Emulator(kKernels[0].scratch), Emulator(kKernels[1].scratch),
                                 Emulator(kKernels[2].scratch)};
  if (size > 4096) return 0;

  const pleat::codec::Kernels& cpu = *pleat::codec::available_kernels().front();
  for (std::size_t i = 0; i < std::size(kKernels); ++i) {
    const std::size_t readable = (size + 15) / 16 * 16;
    std::byte* const src = in.last(readable);
    std::memset(src, 0x5A, readable);
    if (size != 0) std::memcpy(src, data, size);
    std::byte* const page = out.last(pleat::kPageSize);
    emulators[i].set_order(static_cast<Emulator::Order>(size % 3), size);
    PageStatus status = PageStatus::kOk;
    const std::string fault = emulators[i].run([&](Warp& warp) {
      const PageStatus said = kKernels[i].run(warp, src, static_cast<std::uint32_t>(size), page);
      if (warp.lane() == 0) status = said;
    });
    fuzz_check(fault.empty(), "no rule of a warp is broken");
    const auto decode = kKernels[i].is_line ? cpu.line_decompress : cpu.lz4_decompress;
    std::byte* const wanted = expected.last(pleat::kPageSize);
    const bool good = decode(src, size, wanted);
    fuzz_check(good == (status == PageStatus::kOk), "the kernel judges as the CPU does");
    fuzz_check(!good || std::memcmp(page, wanted, pleat::kPageSize) == 0, "the page is the CPU's");
  }
  return 0;
}
