// SPDX-License-Identifier: MIT OR Apache-2.0
// libpleat-gpu's C API on the CPU that stands in for a GPU: batches of any size come back, blocks
// are the CPU's in both directions, bad blocks harm nothing but themselves, and what fails says
// why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "codec/page_codec.h"
#include "codec/page_look.h"
#include "codec/sample_pages.h"
#include "pleat/pleat_gpu.h"

namespace pleat::gpu {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kPage = 4096;
constexpr std::uint32_t kCapacity = 3072;
constexpr std::uint32_t kPartPages = 16;

// What a call of the stand-in's fails with, for as long as this lives.
class Failing {
 public:
  explicit Failing(const std::string& what) { setenv("PLEAT_EMULATED_GPU_FAILS", what.c_str(), 1); }
  ~Failing() { unsetenv("PLEAT_EMULATED_GPU_FAILS"); }
};

// When its streams do what is put into them: "late" is when somebody waits.
class Streams {
 public:
  explicit Streams(const char* when) { setenv("PLEAT_EMULATED_GPU_STREAMS", when, 1); }
  ~Streams() { unsetenv("PLEAT_EMULATED_GPU_STREAMS"); }
};

// Memory aligned as the API asks for.
template <typename T>
class Array {
 public:
  explicit Array(std::size_t count)
      : count_(count),
        data_(static_cast<T*>(std::aligned_alloc(
            16, std::max<std::size_t>(16, (count * sizeof(T) + 15) / 16 * 16)))) {
    std::memset(static_cast<void*>(data_.get()), 0xEE, count * sizeof(T));
  }
  T* get() const { return data_.get(); }
  T& operator[](std::size_t i) const { return data_.get()[i]; }
  std::size_t bytes() const { return count_ * sizeof(T); }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::size_t count_;
  std::unique_ptr<T, Free> data_;
};

struct Batch {
  std::uint32_t count;
  Array<std::byte> pages;
  Array<std::byte> bytes;
  Array<std::uint32_t> offsets;
  Array<std::uint32_t> sizes;
  Array<std::uint8_t> kinds;
  Array<std::uint8_t> statuses;
  std::uint32_t used = 0;
  pleat_gpu_blocks blocks;

  explicit Batch(std::uint32_t pages_count, std::uint32_t block_bytes = kCapacity)
      : count(pages_count),
        pages(std::size_t{kPage} * count),
        bytes(std::size_t{block_bytes} * count),
        offsets(count),
        sizes(count),
        kinds(count),
        statuses(count),
        blocks{.blocks = bytes.get(),
               .bytes = bytes.bytes(),
               .offsets = offsets.get(),
               .sizes = sizes.get(),
               .kinds = kinds.get()} {}

  std::byte* page(std::uint32_t i) const { return pages.get() + std::size_t{kPage} * i; }
  std::byte* block(std::uint32_t i) const { return bytes.get() + std::size_t{16} * offsets[i]; }
};

// Real pages, each seventh same-filled, each eleventh of noise.
void fill(const Batch& batch) {
  static const auto samples = test::real_pages(16);
  std::mt19937_64 random(3);
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    std::memcpy(batch.page(i), samples[(i * 5) % samples.size()].bytes.data(), kPage);
    if (i % 7 != 3 && i % 11 != 5) continue;
    const std::uint64_t same = i * 0x0101010101010101;
    for (std::uint32_t word = 0; word < kPage / 8; ++word) {
      const std::uint64_t value = i % 7 == 3 ? same : random();
      std::memcpy(batch.page(i) + 8 * word, &value, 8);
    }
  }
}

class Plugin : public ::testing::TestWithParam<const char*> {
 protected:
  std::string name() const { return GetParam(); }
  // The format's name on the CPU.
  std::string cpu_name() const { return name().substr(0, name().find(',')); }

  pleat_gpu* open(std::uint32_t pages = kPartPages) {
    const std::string codec = name();
    const pleat_gpu_options options = {.size = sizeof(options),
                                       .codec = codec.c_str(),
                                       .device = 0,
                                       .pages = pages,
                                       .capacity = kCapacity};
    pleat_gpu* gpu = nullptr;
    const char* error = nullptr;
    EXPECT_EQ(pleat_gpu_open(&options, &gpu, &error), 0) << error;
    gpu_.reset(gpu);
    return gpu;
  }

  // What the CPU makes of the blocks; every page has one, or does not fit.
  void expect_blocks_of_cpu(const Batch& batch) {
    auto kernels = codec::select_kernels();
    ASSERT_TRUE(kernels);
    auto codec = codec::PageCodec::open(cpu_name(), **kernels);
    ASSERT_TRUE(codec);
    const auto id = cpu_name() == "line" ? codec::CodecId::kLine : codec::CodecId::kLz4;
    std::vector<std::byte> page(kPage);
    std::uint32_t used = 0;
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      EXPECT_EQ(batch.offsets[i], used) << i;
      used += (batch.sizes[i] + 15) / 16;
      if (i % 7 == 3) {
        EXPECT_EQ(batch.kinds[i], PLEAT_GPU_SAME);
        EXPECT_EQ(batch.sizes[i], 8u);
        EXPECT_EQ(std::memcmp(batch.block(i), batch.page(i), 8), 0);
      } else if (batch.kinds[i] == PLEAT_GPU_RAW) {
        EXPECT_EQ(batch.sizes[i], 0u);
        EXPECT_EQ(codec->encode(batch.page(i), page.data(), kCapacity - 256).size, 0u) << i;
      } else {
        EXPECT_EQ(batch.kinds[i], PLEAT_GPU_BLOCK);
        EXPECT_NE(i % 11, 5u) << "noise does not fit";
        EXPECT_TRUE(codec->decode(id, batch.block(i), batch.sizes[i], page.data())) << i;
        EXPECT_EQ(std::memcmp(page.data(), batch.page(i), kPage), 0) << i;
      }
    }
    EXPECT_EQ(batch.used, used);
  }

  void expect_pages_of(const Batch& batch, const std::byte* pages, const std::uint8_t* statuses) {
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      if (batch.kinds[i] == PLEAT_GPU_RAW && batch.sizes[i] == 0) {
        EXPECT_EQ(statuses[i], PLEAT_GPU_NO_BLOCK) << i;
        // What an Array holds at first.
        for (std::uint32_t at = 0; at < kPage; ++at) {
          ASSERT_EQ(pages[std::size_t{kPage} * i + at], std::byte{0xEE}) << "written";
        }
      } else {
        EXPECT_EQ(statuses[i], PLEAT_GPU_OK) << i;
        EXPECT_EQ(std::memcmp(pages + std::size_t{kPage} * i, batch.page(i), kPage), 0) << i;
      }
    }
  }

  struct Close {
    void operator()(pleat_gpu* gpu) const { pleat_gpu_close(gpu); }
  };
  std::unique_ptr<pleat_gpu, Close> gpu_;
};

INSTANTIATE_TEST_SUITE_P(Formats, Plugin, ::testing::Values("line", "lz4", "lz4,decoder=plain"),
                         [](const auto& it) {
                           std::string name = it.param;
                           std::erase_if(name, [](char c) { return c == ',' || c == '='; });
                           return name;
                         });

TEST_P(Plugin, BatchesOfAnySizeComeBackToTheHost) {
  pleat_gpu* const gpu = open();
  // None, one, a part, a part and one, more parts than are on their way at once.
  for (const std::uint32_t count : {0u, 1u, kPartPages, kPartPages + 1, 5 * kPartPages - 3}) {
    SCOPED_TRACE(count);
    Batch batch(count);
    fill(batch);
    ASSERT_EQ(pleat_gpu_compress_host(gpu, count, batch.pages.get(), &batch.blocks, &batch.used),
              0);
    expect_blocks_of_cpu(batch);
    Array<std::byte> back(std::size_t{kPage} * count);
    ASSERT_EQ(
        pleat_gpu_decompress_host(gpu, count, &batch.blocks, back.get(), batch.statuses.get()), 0);
    expect_pages_of(batch, back.get(), batch.statuses.get());
  }
}

TEST_P(Plugin, BatchesStayOnTheDevice) {
  pleat_gpu* const gpu = open();
  Batch batch(2 * kPartPages + 5);
  fill(batch);
  // The stand-in's device memory is the machine's.
  ASSERT_EQ(
      pleat_gpu_compress(gpu, nullptr, batch.count, batch.pages.get(), &batch.blocks, &batch.used),
      0);
  ASSERT_EQ(pleat_gpu_wait(gpu, nullptr), 0);
  expect_blocks_of_cpu(batch);
  for (const bool from_host : {false, true}) {
    Array<std::byte> back(std::size_t{kPage} * batch.count);
    const auto decompress = from_host ? pleat_gpu_decompress_to_device : pleat_gpu_decompress;
    ASSERT_EQ(
        decompress(gpu, nullptr, batch.count, &batch.blocks, back.get(), batch.statuses.get()), 0);
    ASSERT_EQ(pleat_gpu_wait(gpu, nullptr), 0);
    expect_pages_of(batch, back.get(), batch.statuses.get());
  }
}

// Blocks as compress_host makes them, and the pages that it leaves as they are.
TEST_P(Plugin, WhatIsOnTheDeviceIsSavedWhole) {
  pleat_gpu* const gpu = open(8);
  for (const std::uint32_t count : {0u, 1u, 8u, 9u, 5 * 8u - 3}) {
    SCOPED_TRACE(count);
    Batch host(count);
    fill(host);
    ASSERT_EQ(pleat_gpu_compress_host(gpu, count, host.pages.get(), &host.blocks, &host.used), 0);
    Batch saved(count, kPage);
    fill(saved);
    ASSERT_EQ(pleat_gpu_compress_from_device(gpu, nullptr, count, saved.pages.get(), &saved.blocks,
                                             &saved.used),
              0);
    std::uint32_t used = 0;
    std::uint32_t raw = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      EXPECT_EQ(saved.offsets[i], used) << i;
      EXPECT_EQ(saved.kinds[i], host.kinds[i]) << i;
      const bool whole = host.kinds[i] == PLEAT_GPU_RAW;
      raw += whole ? 1 : 0;
      ASSERT_EQ(saved.sizes[i], whole ? kPage : host.sizes[i]) << i;
      const std::uint32_t units = (saved.sizes[i] + 15) / 16;
      EXPECT_EQ(std::memcmp(saved.block(i), whole ? host.page(i) : host.block(i), 16u * units), 0);
      used += units;
    }
    EXPECT_EQ(saved.used, used);
    EXPECT_EQ(raw > 0, count > 5);
    for (const bool host_to_host : {true, false}) {
      Array<std::byte> back(std::size_t{kPage} * count);
      ASSERT_EQ(host_to_host ? pleat_gpu_decompress_host(gpu, count, &saved.blocks, back.get(),
                                                         saved.statuses.get())
                             : pleat_gpu_decompress_to_device(gpu, nullptr, count, &saved.blocks,
                                                              back.get(), saved.statuses.get()),
                0);
      ASSERT_EQ(pleat_gpu_wait(gpu, nullptr), 0);
      expect_pages_of(saved, back.get(), saved.statuses.get());
    }
    Array<std::byte> back(std::size_t{kPage} * count);
    ASSERT_EQ(
        pleat_gpu_decompress(gpu, nullptr, count, &saved.blocks, back.get(), saved.statuses.get()),
        0);
    ASSERT_EQ(pleat_gpu_wait(gpu, nullptr), 0);
    expect_pages_of(saved, back.get(), saved.statuses.get());
  }
}

TEST_P(Plugin, WhatIsSavedIsWhatTheStreamHasMadeByThen) {
  pleat_gpu* const gpu = open(4);
  Batch first(4 * 4 + 1, kPage);
  fill(first);
  const auto save = [&](const std::byte* pages, Batch& to) {
    ASSERT_EQ(pleat_gpu_compress_from_device(gpu, nullptr, to.count, pages, &to.blocks, &to.used),
              0);
  };
  save(first.pages.get(), first);
  for (const char* const when : {"late", "at-once"}) {
    const Streams streams(when);
    // Made in the stream without a wait, saved, and gone when the call returns.
    Array<std::byte> made(first.pages.bytes());
    ASSERT_EQ(pleat_gpu_decompress(gpu, nullptr, first.count, &first.blocks, made.get(),
                                   first.statuses.get()),
              0);
    Batch second(first.count, kPage);
    save(made.get(), second);
    std::memset(made.get(), 0, made.bytes());
    Array<std::byte> back(first.pages.bytes());
    ASSERT_EQ(pleat_gpu_decompress_host(gpu, second.count, &second.blocks, back.get(),
                                        second.statuses.get()),
              0);
    expect_pages_of(first, back.get(), second.statuses.get());
  }
}

TEST_P(Plugin, WhatIsSavedTakesNoMoreRoomThanThereIs) {
  pleat_gpu* const gpu = open(4);
  Batch batch(4 * 4 + 1, kPage);
  fill(batch);
  const auto save = [&] {
    batch.used = 0;
    return pleat_gpu_compress_from_device(gpu, nullptr, batch.count, batch.pages.get(),
                                          &batch.blocks, &batch.used);
  };
  ASSERT_EQ(save(), 0);
  const std::uint32_t used = batch.used;
  const std::vector<std::uint32_t> offsets(batch.offsets.get(), batch.offsets.get() + batch.count);
  const std::vector<std::uint32_t> sizes(batch.sizes.get(), batch.sizes.get() + batch.count);
  const std::vector<std::uint8_t> kinds(batch.kinds.get(), batch.kinds.get() + batch.count);
  for (const std::size_t units : {std::size_t{used}, std::size_t{used} - 1, std::size_t{used} / 2,
                                  std::size_t{1}, std::size_t{0}}) {
    SCOPED_TRACE(units);
    std::memset(batch.bytes.get(), 0xEE, batch.bytes.bytes());
    std::memset(batch.sizes.get(), 0xEE, batch.sizes.bytes());
    batch.blocks.bytes = 16 * units;
    if (units == 0) batch.blocks.blocks = nullptr;
    EXPECT_EQ(save(), units == used ? 0 : -ENOSPC);
    EXPECT_EQ(batch.used, used);
    EXPECT_TRUE(std::equal(offsets.begin(), offsets.end(), batch.offsets.get()));
    EXPECT_TRUE(std::equal(sizes.begin(), sizes.end(), batch.sizes.get()));
    EXPECT_TRUE(std::equal(kinds.begin(), kinds.end(), batch.kinds.get()));
    for (std::size_t at = 16 * units; at < batch.bytes.bytes(); ++at) {
      ASSERT_EQ(batch.bytes[at], std::byte{0xEE}) << "written behind the end";
    }
    if (units != used) continue;
    Array<std::byte> back(batch.pages.bytes());
    ASSERT_EQ(pleat_gpu_decompress_host(gpu, batch.count, &batch.blocks, back.get(),
                                        batch.statuses.get()),
              0);
    expect_pages_of(batch, back.get(), batch.statuses.get());
  }
  // And there is nothing to allocate.
  batch.blocks.blocks = batch.bytes.get();
  batch.blocks.bytes = batch.bytes.bytes();
  for (const char* const call : {"allocate:2", "allocate_host:2"}) {
    const Failing failing(call);
    EXPECT_EQ(save(), 0);
  }
}

TEST_P(Plugin, APageThatWasKeptAsItIsIsCheckedAsBlocksAre) {
  pleat_gpu* const gpu = open();
  Batch batch(2 * kPartPages, kPage);
  fill(batch);
  ASSERT_EQ(pleat_gpu_compress_from_device(gpu, nullptr, batch.count, batch.pages.get(),
                                           &batch.blocks, &batch.used),
            0);
  ASSERT_EQ(batch.kinds[5], PLEAT_GPU_RAW);
  ASSERT_EQ(batch.kinds[16], PLEAT_GPU_RAW);
  ASSERT_EQ(batch.kinds[27], PLEAT_GPU_RAW);
  batch.blocks.bytes = std::size_t{16} * batch.used;
  batch.sizes[5] = kPage - 1;
  batch.offsets[16] = batch.used - kPage / 16 + 1;
  batch.sizes[27] = kPage + 1;
  for (const auto decompress : {pleat_gpu_decompress, pleat_gpu_decompress_to_device}) {
    Array<std::byte> back(batch.pages.bytes());
    ASSERT_EQ(
        decompress(gpu, nullptr, batch.count, &batch.blocks, back.get(), batch.statuses.get()), 0);
    ASSERT_EQ(pleat_gpu_wait(gpu, nullptr), 0);
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      const int wanted = i == 5 || i == 27 ? PLEAT_GPU_NO_BLOCK
                         : i == 16         ? PLEAT_GPU_CORRUPT
                                           : PLEAT_GPU_OK;
      EXPECT_EQ(batch.statuses[i], wanted) << i;
      if (wanted == PLEAT_GPU_OK) {
        EXPECT_EQ(std::memcmp(back.get() + std::size_t{kPage} * i, batch.page(i), kPage), 0) << i;
      }
    }
  }
}

TEST_P(Plugin, ASaveMayFailAtAnyCallOfTheDriverAndIsOverThen) {
  pleat_gpu* const gpu = open(2);
  // More parts than are on their way at once.
  Batch batch(4 * 2 + 1, kPage);
  fill(batch);
  Batch other(batch.count, kPage);
  const auto save = [&](Batch& to) {
    return pleat_gpu_compress_from_device(gpu, nullptr, batch.count, batch.pages.get(), &to.blocks,
                                          &to.used);
  };
  for (const char* const call :
       {"wait_for", "record", "follow", "set", "compress", "pack", "copy", "wait"}) {
    SCOPED_TRACE(call);
    int result = -EIO;
    for (unsigned succeed = 0; result != 0; ++succeed) {
      {
        const Failing failing(std::string(call) + ":700:" + std::to_string(succeed));
        result = save(other);
      }
      if (result == 0) {
        EXPECT_GE(succeed, 1u);
        continue;
      }
      ASSERT_EQ(result, -EIO);
      EXPECT_THAT(pleat_gpu_error(gpu), HasSubstr("illegal memory access"));
      std::memset(other.bytes.get(), 0xEE, other.bytes.bytes());
      ASSERT_EQ(save(batch), 0);
      for (std::size_t at = 0; at < other.bytes.bytes(); ++at) {
        ASSERT_EQ(other.bytes[at], std::byte{0xEE}) << "written when the call was over";
      }
    }
    Array<std::byte> back(batch.pages.bytes());
    ASSERT_EQ(pleat_gpu_decompress_host(gpu, batch.count, &batch.blocks, back.get(),
                                        batch.statuses.get()),
              0);
    expect_pages_of(batch, back.get(), batch.statuses.get());
  }
  const Failing failing("copy:2");
  EXPECT_EQ(save(batch), -ENOMEM);
}

TEST_P(Plugin, BlocksMayLieAnywhere) {
  pleat_gpu* const gpu = open();
  // Every second page that does not fit is there as it is.
  Batch batch(3 * kPartPages, kPage);
  fill(batch);
  ASSERT_EQ(pleat_gpu_compress_from_device(gpu, nullptr, batch.count, batch.pages.get(),
                                           &batch.blocks, &batch.used),
            0);
  std::uint32_t raw = 0;
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    if (batch.kinds[i] == PLEAT_GPU_RAW && raw++ % 2 != 0) batch.sizes[i] = 0;
  }
  EXPECT_GE(raw, 2u);
  // In the opposite order, and far from each other: a part's blocks are sent one by one.
  const std::uint32_t stride = 40 * kPage / 16;
  Array<std::byte> far(std::size_t{16} * stride * batch.count);
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    const std::uint32_t to = stride * (batch.count - 1 - i);
    std::memcpy(far.get() + std::size_t{16} * to, batch.block(i), batch.sizes[i]);
    batch.offsets[i] = to;
  }
  batch.blocks.blocks = far.get();
  batch.blocks.bytes = far.bytes();
  Array<std::byte> back(std::size_t{kPage} * batch.count);
  ASSERT_EQ(
      pleat_gpu_decompress_host(gpu, batch.count, &batch.blocks, back.get(), batch.statuses.get()),
      0);
  expect_pages_of(batch, back.get(), batch.statuses.get());
}

TEST_P(Plugin, ABadBlockHarmsNoOtherPage) {
  pleat_gpu* const gpu = open();
  Batch batch(2 * kPartPages);
  fill(batch);
  ASSERT_EQ(
      pleat_gpu_compress_host(gpu, batch.count, batch.pages.get(), &batch.blocks, &batch.used), 0);
  batch.blocks.bytes = std::size_t{16} * batch.used;
  // The first pages of both parts, but same-filled and raw ones.
  std::vector<std::pair<std::uint32_t, int>> bad;
  auto next = [&, page = 0u](int status) mutable {
    while (batch.kinds[page] != PLEAT_GPU_BLOCK) ++page;
    bad.emplace_back(page, status);
    return page++;
  };
  batch.offsets[next(PLEAT_GPU_CORRUPT)] = batch.used;
  batch.offsets[next(PLEAT_GPU_CORRUPT)] = 0xFFFFFFFF;
  batch.sizes[next(PLEAT_GPU_TOO_LARGE)] = 0xFFFFFFFF;
  batch.sizes[next(PLEAT_GPU_TOO_LARGE)] = kPage + 1;
  batch.sizes[next(PLEAT_GPU_CORRUPT)] = 0;
  batch.sizes[next(PLEAT_GPU_CORRUPT)] -= 1;
  batch.kinds[next(PLEAT_GPU_NO_BLOCK)] = 77;
  batch.kinds[next(PLEAT_GPU_CORRUPT)] = PLEAT_GPU_SAME;
  for (const bool host : {true, false}) {
    Array<std::byte> back(std::size_t{kPage} * batch.count);
    ASSERT_EQ(host ? pleat_gpu_decompress_host(gpu, batch.count, &batch.blocks, back.get(),
                                               batch.statuses.get())
                   : pleat_gpu_decompress(gpu, nullptr, batch.count, &batch.blocks, back.get(),
                                          batch.statuses.get()),
              0);
    ASSERT_EQ(pleat_gpu_wait(gpu, nullptr), 0);
    for (std::uint32_t i = 0; i < batch.count; ++i) {
      const auto wanted =
          std::find_if(bad.begin(), bad.end(), [&](const auto& it) { return it.first == i; });
      if (wanted != bad.end()) {
        EXPECT_EQ(batch.statuses[i], wanted->second) << i << (host ? " host" : " device");
      } else if (batch.kinds[i] == PLEAT_GPU_RAW) {
        EXPECT_EQ(batch.statuses[i], PLEAT_GPU_NO_BLOCK);
      } else {
        EXPECT_EQ(batch.statuses[i], PLEAT_GPU_OK) << i;
        EXPECT_EQ(std::memcmp(back.get() + std::size_t{kPage} * i, batch.page(i), kPage), 0);
      }
    }
  }
}

TEST_P(Plugin, WhatFailsInTheMiddleIsToldAndIsOver) {
  pleat_gpu* const gpu = open();
  Batch batch(3 * kPartPages);
  fill(batch);
  Array<std::byte> back(std::size_t{kPage} * batch.count);
  for (const char* const call : {"copy", "compress", "pack", "wait", "set"}) {
    const Failing failing(std::string(call) + ":700");
    EXPECT_EQ(
        pleat_gpu_compress_host(gpu, batch.count, batch.pages.get(), &batch.blocks, &batch.used),
        -EIO)
        << call;
    EXPECT_THAT(pleat_gpu_error(gpu), HasSubstr("illegal memory access"));
  }
  ASSERT_EQ(
      pleat_gpu_compress_host(gpu, batch.count, batch.pages.get(), &batch.blocks, &batch.used), 0);
  expect_blocks_of_cpu(batch);
  for (const char* const call : {"copy", "decompress", "wait", "set"}) {
    const Failing failing(std::string(call) + ":700");
    EXPECT_EQ(pleat_gpu_decompress_host(gpu, batch.count, &batch.blocks, back.get(),
                                        batch.statuses.get()),
              -EIO)
        << call;
  }
  ASSERT_EQ(
      pleat_gpu_decompress_host(gpu, batch.count, &batch.blocks, back.get(), batch.statuses.get()),
      0);
  expect_pages_of(batch, back.get(), batch.statuses.get());
}

TEST_P(Plugin, CallsMayFollowEachOtherInAnyOrder) {
  pleat_gpu* const gpu = open();
  Batch large(3 * kPartPages);
  fill(large);
  Batch small(1);
  fill(small);
  Array<std::byte> back(std::size_t{kPage} * large.count);
  for (const char* const when : {"late", "late", "at-once"}) {
    const Streams streams(when);
    ASSERT_EQ(
        pleat_gpu_compress_host(gpu, large.count, large.pages.get(), &large.blocks, &large.used),
        0);
    ASSERT_EQ(pleat_gpu_decompress_to_device(gpu, nullptr, large.count, &large.blocks, back.get(),
                                             large.statuses.get()),
              0);
    ASSERT_EQ(pleat_gpu_compress_host(gpu, 1, small.pages.get(), &small.blocks, &small.used), 0);
    expect_blocks_of_cpu(large);
    expect_blocks_of_cpu(small);
    expect_pages_of(large, back.get(), large.statuses.get());
  }
}

TEST_P(Plugin, GpusDoNotGetIntoEachOthersWay) {
  pleat_gpu* const first = open();
  const std::string codec = name();
  const pleat_gpu_options options = {.size = sizeof(options),
                                     .codec = codec.c_str(),
                                     .device = 1,
                                     .pages = kPartPages,
                                     .capacity = kCapacity};
  pleat_gpu* other = nullptr;
  ASSERT_EQ(pleat_gpu_open(&options, &other, nullptr), 0);
  const std::unique_ptr<pleat_gpu, Close> second(other);
  Batch batch(kPartPages + 1);
  fill(batch);
  const auto expect_works = [&](pleat_gpu* gpu) {
    ASSERT_EQ(
        pleat_gpu_compress_host(gpu, batch.count, batch.pages.get(), &batch.blocks, &batch.used), 0)
        << pleat_gpu_error(gpu);
    expect_blocks_of_cpu(batch);
  };
  expect_works(first);
  expect_works(other);
  expect_works(first);
  // And on another thread, which has not chosen any.
  std::thread([&] { expect_works(other); }).join();
}

TEST_P(Plugin, MeasuresWhatItIsGiven) {
  pleat_gpu* const gpu = open();
  Batch batch(kPartPages + 4);
  fill(batch);
  pleat_gpu_rates rates = {};
  EXPECT_EQ(pleat_gpu_measure(gpu, batch.count, batch.pages.get(), 1, &rates), -EINVAL);
  // Of a caller that does not know the last two.
  rates.size = offsetof(pleat_gpu_rates, compress_from_device);
  ASSERT_EQ(pleat_gpu_measure(gpu, batch.count, batch.pages.get(), 1, &rates), 0);
  EXPECT_GT(rates.ratio, 1);
  EXPECT_EQ(rates.compress_from_device, 0);
  EXPECT_EQ(rates.decompress_to_device, 0);
  EXPECT_EQ(rates.size, offsetof(pleat_gpu_rates, compress_from_device));
  rates.size = sizeof(rates);
  ASSERT_EQ(pleat_gpu_measure(gpu, batch.count, batch.pages.get(), 1, &rates), 0);
  for (const double rate : {rates.to_device, rates.from_device, rates.compress, rates.decompress,
                            rates.compress_host, rates.decompress_host, rates.latency_us,
                            rates.compress_from_device, rates.decompress_to_device}) {
    EXPECT_GT(rate, 0);
  }
  ASSERT_EQ(
      pleat_gpu_compress_host(gpu, batch.count, batch.pages.get(), &batch.blocks, &batch.used), 0);
  std::uint32_t raw = 0;
  std::size_t bytes = 0;
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    raw += batch.kinds[i] == PLEAT_GPU_RAW ? 1 : 0;
    bytes += batch.kinds[i] == PLEAT_GPU_RAW ? kPage : batch.sizes[i];
  }
  EXPECT_EQ(rates.raw, raw);
  EXPECT_EQ(rates.same, 3u);
  EXPECT_DOUBLE_EQ(rates.ratio,
                   static_cast<double>(kPage) * batch.count / static_cast<double>(bytes));
}

TEST_P(Plugin, TellsWhatPagesLookLike) {
  pleat_gpu* const gpu = open();
  Batch batch(kPartPages + 3);
  fill(batch);
  Array<pleat_gpu_page_features> features(batch.count);
  ASSERT_EQ(pleat_gpu_features(gpu, nullptr, batch.count, batch.pages.get(), features.get()), 0);
  EXPECT_EQ(features[0].look, 0xEEEE) << "nobody has waited yet";
  ASSERT_EQ(pleat_gpu_wait(gpu, nullptr), 0);
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    EXPECT_EQ(features[i].look, static_cast<unsigned>(codec::look_at(batch.page(i)))) << i;
    EXPECT_EQ(features[i].zero_bytes, std::count(batch.page(i), batch.page(i + 1), std::byte{0}));
  }
  EXPECT_EQ(features[5].look, 2) << "noise";
  EXPECT_EQ(pleat_gpu_features(gpu, nullptr, 1, batch.pages.get() + 8, features.get()), -EINVAL);
  EXPECT_EQ(pleat_gpu_features(gpu, nullptr, 1, batch.pages.get(), nullptr), -EINVAL);
}

TEST(PluginOpen, SaysWhyThereIsNoGpu) {
  const auto expect = [](const char* fails, int code, const char* text, pleat_gpu_options options) {
    const Failing failing(fails);
    options.size = sizeof(options);
    pleat_gpu* gpu = nullptr;
    const char* error = nullptr;
    EXPECT_EQ(pleat_gpu_open(&options, &gpu, &error), -code) << text;
    EXPECT_THAT(error, HasSubstr(text));
    EXPECT_EQ(gpu, nullptr);
  };
  const pleat_gpu_options good = {
      .size = 0, .codec = "line", .device = 0, .pages = 4, .capacity = 0};
  expect("count:35", ENODEV, "driver is missing or too old", good);
  expect("count:100", ENODEV, "no GPU that CUDA can use", good);
  expect("count:999", ENODEV, "unknown error", good);
  expect("allocate:2", ENOMEM, "no memory for parts of 4 pages", good);
  expect("allocate_host:2", ENOMEM, "no memory", good);
  expect("create_stream:700", EIO, "illegal memory access", good);
  pleat_gpu_options bad = good;
  for (const std::uint32_t device : {2u, 0x80000000u}) {
    bad.device = device;
    expect("", ENODEV, "but 2, counted from 0", bad);
  }
  expect("load_kernels:209", ENODEV, "has no kernels for this GPU, emulator", good);
  bad = good;
  bad.codec = "zstd";
  expect("", EINVAL, "lz4,decoder=plain, not zstd", bad);
  bad = good;
  bad.pages = 0;
  expect("", EINVAL, "from 1 to 1048576", bad);
  bad.pages = (1u << 20) + 1;
  expect("", EINVAL, "from 1 to 1048576", bad);
  for (const std::uint32_t capacity : {8u, 4112u}) {
    bad = good;
    bad.capacity = capacity;
    expect("", EINVAL, "multiple of 16", bad);
  }
}

TEST(PluginOpen, ChecksArguments) {
  const pleat_gpu_options options = {
      .size = sizeof(options), .codec = "line", .device = 0, .pages = 4, .capacity = kCapacity};
  EXPECT_EQ(pleat_gpu_open(&options, nullptr, nullptr), -EINVAL);
  pleat_gpu* gpu = nullptr;
  EXPECT_EQ(pleat_gpu_open(nullptr, &gpu, nullptr), -EINVAL);
  ASSERT_EQ(pleat_gpu_open(&options, &gpu, nullptr), 0);
  Batch batch(4);
  fill(batch);
  const auto compress = [&](const pleat_gpu_blocks& blocks, const std::byte* pages) {
    return pleat_gpu_compress_host(gpu, 4, pages, &blocks, &batch.used);
  };
  EXPECT_EQ(compress(batch.blocks, batch.pages.get()), 0);
  EXPECT_EQ(compress(batch.blocks, batch.pages.get() + 8), -EINVAL) << "not aligned";
  pleat_gpu_blocks blocks = batch.blocks;
  blocks.bytes -= 16;
  EXPECT_EQ(compress(blocks, batch.pages.get()), -EINVAL) << "too few bytes";
  blocks = batch.blocks;
  blocks.blocks = batch.bytes.get() + 4;
  EXPECT_EQ(compress(blocks, batch.pages.get()), -EINVAL) << "not aligned";
  blocks = batch.blocks;
  blocks.offsets = reinterpret_cast<std::uint32_t*>(batch.bytes.get() + 2);
  EXPECT_EQ(compress(blocks, batch.pages.get()), -EINVAL) << "not aligned";
  blocks = batch.blocks;
  blocks.bytes = ~std::size_t{0} / 16 * 16;
  EXPECT_EQ(pleat_gpu_compress_host(gpu, 0xFFFFFFFF, batch.pages.get(), &blocks, &batch.used),
            -EINVAL)
      << "offsets of 32 bits do not reach that far";
  blocks = batch.blocks;
  blocks.kinds = nullptr;
  EXPECT_EQ(compress(blocks, batch.pages.get()), -EINVAL) << "null";
  EXPECT_EQ(pleat_gpu_decompress_host(gpu, 4, &batch.blocks, batch.pages.get(), nullptr), -EINVAL);
  const auto save = [&](const pleat_gpu_blocks& to, const std::byte* pages, std::uint32_t* used,
                        std::uint32_t count = 4) {
    return pleat_gpu_compress_from_device(gpu, nullptr, count, pages, &to, used);
  };
  EXPECT_EQ(save(batch.blocks, batch.pages.get() + 8, &batch.used), -EINVAL) << "not aligned";
  EXPECT_EQ(save(batch.blocks, nullptr, &batch.used), -EINVAL);
  EXPECT_EQ(save(batch.blocks, batch.pages.get(), nullptr), -EINVAL);
  EXPECT_EQ(save(blocks, batch.pages.get(), &batch.used), -EINVAL) << "no kinds";
  EXPECT_EQ(
      pleat_gpu_compress_from_device(gpu, nullptr, 4, batch.pages.get(), nullptr, &batch.used),
      -EINVAL);
  EXPECT_EQ(pleat_gpu_compress_from_device(nullptr, nullptr, 4, batch.pages.get(), &batch.blocks,
                                           &batch.used),
            -EINVAL);
  blocks = batch.blocks;
  blocks.bytes -= 4;
  EXPECT_EQ(save(blocks, batch.pages.get(), &batch.used), -EINVAL) << "not a multiple of 16";
  blocks.bytes = 16;
  blocks.blocks = nullptr;
  EXPECT_EQ(save(blocks, batch.pages.get(), &batch.used), -EINVAL) << "no blocks";
  blocks.bytes = 0;
  EXPECT_EQ(save(blocks, batch.pages.get(), &batch.used, 1u << 24), -EINVAL)
      << "offsets of 32 bits do not reach that far";
  EXPECT_EQ(save(blocks, nullptr, &batch.used, 0), 0);
  pleat_gpu_info info = {};
  EXPECT_EQ(pleat_gpu_get_info(gpu, &info), -EINVAL) << "no size";
  info.size = sizeof(info);
  EXPECT_EQ(pleat_gpu_get_info(gpu, &info), 0);
  EXPECT_STREQ(info.name, "emulator");
  EXPECT_EQ(info.emulated, 1u);
  void* const memory = pleat_gpu_host_alloc(gpu, 100);
  EXPECT_NE(memory, nullptr);
  EXPECT_EQ(pleat_gpu_host_register(gpu, memory, 0), -EINVAL);
  EXPECT_EQ(pleat_gpu_host_register(gpu, nullptr, 100), -EINVAL);
  EXPECT_EQ(pleat_gpu_host_register(nullptr, memory, 100), -EINVAL);
  EXPECT_EQ(pleat_gpu_host_register(gpu, memory, 100), 0);
  pleat_gpu_host_unregister(gpu, memory);
  {
    const Failing failing("register_host:2");
    EXPECT_EQ(pleat_gpu_host_register(gpu, memory, 100), -ENOMEM);
    EXPECT_THAT(pleat_gpu_error(gpu), HasSubstr("out of memory"));
  }
  pleat_gpu_host_free(gpu, memory);
  void* const there = pleat_gpu_device_alloc(gpu, 100);
  EXPECT_NE(there, nullptr);
  EXPECT_EQ(pleat_gpu_read(nullptr, &info, there, 1), -EINVAL);
  EXPECT_EQ(pleat_gpu_read(gpu, nullptr, there, 1), -EINVAL);
  EXPECT_EQ(pleat_gpu_write(gpu, nullptr, &info, 1), -EINVAL);
  EXPECT_EQ(pleat_gpu_write(gpu, there, nullptr, 1), -EINVAL);
  EXPECT_EQ(pleat_gpu_read(gpu, nullptr, nullptr, 0), 0);
  pleat_gpu_device_free(gpu, there);
  pleat_gpu_close(gpu);
  pleat_gpu_close(nullptr);
}

}  // namespace
}  // namespace pleat::gpu
