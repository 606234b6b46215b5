// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/cpu_features.h"

namespace pleat::codec {

#if defined(__x86_64__)
// __builtin_cpu_supports() reports a vector feature only where OSXSAVE is set and XGETBV says that
// the operating system saves its registers (libgcc's and compiler-rt's cpuinfo.c).
bool cpu_has_avx2_tier() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi") != 0 &&
         __builtin_cpu_supports("bmi2") != 0 && __builtin_cpu_supports("popcnt") != 0;
}

bool cpu_has_avx512_tier() noexcept {
  return cpu_has_avx2_tier() && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vbmi") != 0 &&
         __builtin_cpu_supports("avx512vbmi2") != 0 &&
         __builtin_cpu_supports("avx512vpopcntdq") != 0;
}
#endif

}  // namespace pleat::codec
