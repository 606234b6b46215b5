// SPDX-License-Identifier: MIT OR Apache-2.0
// Makes a zstd dictionary of pages and tells what it is worth: `pleat train`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "codec/kernels.h"

namespace pleat::tool {

// One file's pages that the dictionary was not made of: how many times smaller they become, where
// one that does not save a quarter counts as a whole page. All 0 where there are none.
struct TrainedFile {
  std::string name;
  std::size_t pages = 0;  // in the file
  double own = 0;         // by tables of each page's own
  double canned = 0;
  double mixed = 0;
};

struct TrainResult {
  std::uint32_t id = 0;
  std::size_t bytes = 0;
  std::vector<TrainedFile> files;
};

// Trains on three of every four pages of `paths`, which are files of pages or directories with
// *.pages files, and writes the dictionary to `output`, as a whole or not at all. EINVAL for a file
// that is no whole number of pages.
Result<TrainResult> train(const std::vector<std::string>& paths, const std::string& output,
                          const codec::Kernels& kernels);

std::string to_text(const TrainResult& result, const std::string& output);

}  // namespace pleat::tool
