// SPDX-License-Identifier: MIT OR Apache-2.0
// What passes.cpp says to counter.cpp: system calls that no kernel has.
#pragma once

// Instructions count from here.
inline constexpr long kMarkBegin = 7001;
// To here; the argument is the number of pages. Their mean is printed.
inline constexpr long kMarkEnd = 7002;
// The mean of all pages since the last of these is printed.
inline constexpr long kMarkRow = 7003;
