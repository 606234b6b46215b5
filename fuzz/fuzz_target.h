// SPDX-License-Identifier: MIT OR Apache-2.0
// What the fuzz targets share. A target is the function that libFuzzer calls with bytes it made up;
// replay.cpp calls the same function with the committed corpus, under any compiler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// Ends the process where a property does not hold, for all builds (assert() is gone in a release).
inline void fuzz_check(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "property does not hold: %s\n", property);
  std::abort();
}
