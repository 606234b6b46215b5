// SPDX-License-Identifier: MIT OR Apache-2.0
// Groups as single zstd blocks, beside libzstd's of the same groups.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace pleat {

// One file of groups, by its name.
struct GroupFile {
  std::string name;
  std::vector<char> bytes;
};

// Prints, for each level of zstd, ratio and speeds as parts of libzstd's; false where a block does
// not come back.
bool print_blocks_beside_libzstd(std::span<const GroupFile> files);

}  // namespace pleat
