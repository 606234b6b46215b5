// SPDX-License-Identifier: MIT OR Apache-2.0
// The levels of zstd as specifications name them.
#pragma once

#include <optional>
#include <string_view>

namespace pleat::codec {

// Which of the searches, and its level, from 1 on; 0: none.
struct ZstdLevel {
  unsigned level = 0;
  bool is_dense = false;
};

inline constexpr char kZstdLevelNames[] = "fast, 1, 3, 9, 19";

// None for a name that there is not; 1 where there is none.
constexpr std::optional<ZstdLevel> zstd_level(std::string_view name) {
  if (name == "fast") return ZstdLevel{1, false};
  if (name.empty() || name == "1") return ZstdLevel{2, false};
  if (name == "3") return ZstdLevel{3, false};
  if (name == "9") return ZstdLevel{1, true};
  if (name == "19") return ZstdLevel{2, true};
  return std::nullopt;
}

}  // namespace pleat::codec
