// SPDX-License-Identifier: MIT OR Apache-2.0
// A batch compressor that is a codec of the CPU, for tests of who uses one.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "codec/batch_compressor.h"
#include "store/pages.h"

namespace pleat::store {

class CpuBatches : public codec::BatchCompressor {
 public:
  // `spec`: of a codec that writes blocks of one kind, `id`.
  CpuBatches(const std::string& spec, codec::CodecId id, std::size_t pages_max)
      : codec_(codec::PageCodec::open(spec, *test_kernels())), id_(id), pages_(pages_max) {
    EXPECT_TRUE(codec_) << codec_.error().message;
  }

  codec::CodecId codec() const noexcept override { return id_; }
  std::size_t pages_max() const noexcept override { return pages_.size(); }
  std::byte* page(std::size_t i) noexcept override { return pages_[i].data(); }
  int compress(std::size_t count) noexcept override {
    ++batches;
    EXPECT_LE(count, pages_.size());
    blocks_.clear();
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<std::byte> block(kPageSize);
      block.resize(codec_->encode(pages_[i].data(), block.data(), kPageSize).size);
      blocks_.push_back(std::move(block));
    }
    if (meanwhile) meanwhile(blocks_);
    return error;
  }
  std::size_t take_block(std::size_t i, std::byte* dst, std::size_t capacity) noexcept override {
    const std::vector<std::byte>& block = blocks_[i];
    if (block.size() > capacity) return 0;
    std::memcpy(dst, block.data(), block.size());
    return block.size();
  }

  // What happens before compress() returns; it may change the blocks.
  std::function<void(std::vector<std::vector<std::byte>>& blocks)> meanwhile;
  int error = 0;    // what compress() returns
  int batches = 0;  // calls

 private:
  Result<codec::PageCodec> codec_;
  codec::CodecId id_;
  std::vector<TestPage> pages_;
  std::vector<std::vector<std::byte>> blocks_;
};

}  // namespace pleat::store
