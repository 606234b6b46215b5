// SPDX-License-Identifier: MIT OR Apache-2.0
// Runs a fuzz target over its committed corpus and over simple mutations of it, as a GoogleTest
// program: what a fuzzer once found stays found, with any compiler.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "fuzz_target.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<Bytes> corpus() {
  std::vector<Bytes> inputs;
  for (const auto& entry : std::filesystem::directory_iterator(PLEAT_FUZZ_CORPUS)) {
    std::ifstream in(entry.path(), std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return inputs;
}

void run(const Bytes& input) {
  // An exact copy on the heap, so that a sanitizer sees a read behind it.
  ASSERT_EQ(LLVMFuzzerTestOneInput(input.data(), input.size()), 0);
}

TEST(Replay, TheCorpusHolds) {
  const auto inputs = corpus();
  ASSERT_GE(inputs.size(), 3u) << PLEAT_FUZZ_CORPUS;
  run({});
  for (const Bytes& input : inputs) run(input);
}

TEST(Replay, MutationsOfTheCorpusHold) {
  std::mt19937 random(1);
  for (const Bytes& input : corpus()) {
    for (int round = 0; round < 40; ++round) {
      Bytes mutated = input;
      if (!mutated.empty() && round % 4 == 0) mutated.resize(random() % mutated.size());
      for (std::size_t edits = 1 + random() % 4; edits > 0 && !mutated.empty(); --edits) {
        const auto at = static_cast<std::ptrdiff_t>(random() % mutated.size());
        const auto value = static_cast<std::uint8_t>(random());
        switch (random() % 3) {
          case 0:
            mutated[static_cast<std::size_t>(at)] = value;
            break;
          case 1:
            mutated.erase(mutated.begin() + at);
            break;
          default:
            mutated.insert(mutated.begin() + at, value);
        }
      }
      run(mutated);
    }
  }
}

}  // namespace
