// SPDX-License-Identifier: MIT OR Apache-2.0
// Estimated warp instructions: what tools/gpu-instructions recorded for each phase of a kernel,
// times how often the emulator says that a warp ran it.
#pragma once

#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "gpu/simt/emulator.h"

namespace pleat::gpu {

class WarpCost {
 public:
  // `phases` are the names of the kernel's enum, in its order.
  WarpCost(const std::string& kernel, const std::vector<const char*>& phases) {
    std::ifstream file(PLEAT_SOURCE_DIR "/tests/gpu/sass_counts.txt");
    std::map<std::string, double> recorded;
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string of;
      std::string phase;
      double instructions = 0;
      if (words >> of >> phase >> instructions && of == kernel) recorded[phase] = instructions;
    }
    // With what a kernel does around the codec: it looks whether the page is same-filled, of which
    // most pages need an eighth.
    outside_ = recorded.at("-");
    std::size_t used = 1;
    for (const char* phase : phases) {
      const auto found = recorded.find(phase);
      // A phase that the compiler merged into another has no instructions of its own.
      instructions_.push_back(found == recorded.end() ? 0 : found->second);
      used += found == recorded.end() ? 0 : 1;
    }
    if (used != recorded.size()) {
      throw std::runtime_error(kernel + ": sass_counts.txt has phases that the test does not name");
    }
  }

  // Mean of a page, over `pages` that were run between two readings of the counters.
  double of_page(const EmulatorCounters& before, const EmulatorCounters& after,
                 std::size_t pages) const {
    double sum = outside_ * static_cast<double>(pages);
    for (std::size_t i = 0; i < instructions_.size(); ++i) {
      sum += instructions_[i] * static_cast<double>(after.phases[i] - before.phases[i]);
    }
    return sum / static_cast<double>(pages);
  }

 private:
  double outside_;
  std::vector<double> instructions_;
};

}  // namespace pleat::gpu
