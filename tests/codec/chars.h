// SPDX-License-Identifier: MIT OR Apache-2.0
// Bytes as liblz4 takes them.
#pragma once

#include <cstddef>

namespace pleat::test {

inline const char* chars(const std::byte* bytes) { return reinterpret_cast<const char*>(bytes); }
inline char* chars(std::byte* bytes) { return reinterpret_cast<char*>(bytes); }

}  // namespace pleat::test
