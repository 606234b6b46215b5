// SPDX-License-Identifier: MIT OR Apache-2.0
// How often a test repeats what differs each time by its random input or by chance alone.
#pragma once

namespace pleat::test {

// `native` times, and a quarter of that where a sanitizer or an emulator makes each ten times
// as long: those judge every step, and that many are enough for them.
constexpr unsigned repetitions(unsigned native) {
#ifdef PLEAT_SLOW_BUILD
  return native / 4;
#else
  return native;
#endif
}

}  // namespace pleat::test
