// SPDX-License-Identifier: MIT OR Apache-2.0
// Which tiers this processor and this operating system can run.
#pragma once

namespace pleat::codec {

#if defined(__x86_64__)
// Both check that the operating system saves the registers, not only that the processor has them.
bool cpu_has_avx2_tier() noexcept;
bool cpu_has_avx512_tier() noexcept;
#endif

}  // namespace pleat::codec
