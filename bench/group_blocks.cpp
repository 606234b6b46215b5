// SPDX-License-Identifier: MIT OR Apache-2.0
#include "group_blocks.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <utility>

#include "base/clock.h"
#include "base/page.h"
#include "codec/group_codec.h"
#include "codec/kernels.h"

namespace pleat {
namespace {

using Group = std::array<std::byte, kGroupBytes>;

constexpr unsigned kRounds = 5;
// Of a file, since libzstd's level 19 takes its time.
constexpr std::size_t kGroupsMost = 128;

// One side: its blocks of a file's groups, and the least time that a round took.
struct Side {
  std::vector<std::vector<std::byte>> blocks;
  std::uint64_t compress_ns = UINT64_MAX;
  std::uint64_t decompress_ns = UINT64_MAX;

  double bytes() const {
    double sum = 0;
    for (const auto& block : blocks) sum += static_cast<double>(block.size());
    return sum;
  }
};

// encode(group, block) and decode(block, group) work on one group each.
template <typename Encode, typename Decode>
bool run_round(const std::vector<const std::byte*>& groups, const std::vector<std::size_t>& order,
               Side& side, const Encode& encode, const Decode& decode) {
  side.blocks.resize(groups.size());
  for (auto& block : side.blocks) block.resize(2 * kGroupBytes);
  std::uint64_t begin_ns = thread_cpu_ns();
  for (const std::size_t i : order) encode(groups[i], side.blocks[i]);
  side.compress_ns = std::min(side.compress_ns, thread_cpu_ns() - begin_ns);
  static Group back;
  for (const std::size_t i : order) {
    const bool good = decode(side.blocks[i], back);
    if (!good || std::memcmp(back.data(), groups[i], kGroupBytes) != 0) return false;
  }
  begin_ns = thread_cpu_ns();
  for (const std::size_t i : order) (void)decode(side.blocks[i], back);
  side.decompress_ns = std::min(side.decompress_ns, thread_cpu_ns() - begin_ns);
  return true;
}

// Ratio, compression and decompression as parts of libzstd's; none where a block does not come
// back.
std::vector<double> measure_level(const GroupFile& file, const char* spec, int level) {
  std::vector<const std::byte*> groups;
  const std::size_t all = file.bytes.size() / kGroupBytes;
  for (std::size_t i = 0; i < std::min(all, kGroupsMost); ++i) {
    const std::size_t at = i * all / std::min(all, kGroupsMost);
    groups.push_back(reinterpret_cast<const std::byte*>(&file.bytes[at * kGroupBytes]));
  }
  const codec::Kernels& kernels = *codec::available_kernels().back();
  auto ours = codec::GroupCodec::open(spec, kernels);
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> compressor(ZSTD_createCCtx(),
                                                                        ZSTD_freeCCtx);
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> decompressor(ZSTD_createDCtx(),
                                                                          ZSTD_freeDCtx);
  if (!ours) return {};
  ZSTD_CCtx_setParameter(compressor.get(), ZSTD_c_compressionLevel, level);

  std::vector<std::size_t> order(groups.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937_64 random(1);
  Side mine;
  Side theirs;
  for (unsigned round = 0; round < kRounds; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    // A group that becomes no shorter is kept as it is, as the store does.
    const bool good =
        run_round(
            groups, order, mine,
            [&](const std::byte* group, std::vector<std::byte>& block) {
              block.resize(ours->encode(group, block.data(), kGroupBytes).size);
              if (block.empty()) block.assign(group, group + kGroupBytes);
            },
            [&](const std::vector<std::byte>& block, Group& group) {
              if (block.size() == kGroupBytes) {
                std::memcpy(group.data(), block.data(), kGroupBytes);
                return true;
              }
              return decode_group(kernels, codec::CodecId::kZstd, block.data(), block.size(),
                                  group.data(), kGroupPages);
            }) &&
        run_round(
            groups, order, theirs,
            [&](const std::byte* group, std::vector<std::byte>& block) {
              block.resize(
                  ZSTD_compress2(compressor.get(), block.data(), block.size(), group, kGroupBytes));
            },
            [&](const std::vector<std::byte>& block, Group& group) {
              return ZSTD_decompressDCtx(decompressor.get(), group.data(), kGroupBytes,
                                         block.data(), block.size()) == kGroupBytes;
            });
    if (!good) return {};
  }
  const auto part = [](std::uint64_t of, std::uint64_t by) {
    return static_cast<double>(of) / static_cast<double>(by);
  };
  return {theirs.bytes() / mine.bytes(), part(theirs.compress_ns, mine.compress_ns),
          part(theirs.decompress_ns, mine.decompress_ns)};
}

}  // namespace

bool print_blocks_beside_libzstd(std::span<const GroupFile> files) {
  std::printf("\n| Single blocks, of libzstd's | mean |");
  for (const GroupFile& file : files) std::printf(" %s |", file.name.c_str());
  std::printf("\n|---|---:|");
  for (std::size_t i = 0; i < files.size(); ++i) std::printf("---:|");
  std::printf("\n");
  constexpr std::pair<const char*, int> kLevels[] = {
      {"zstd", 1}, {"zstd:3", 3}, {"zstd:9", 9}, {"zstd:19", 19}};
  constexpr const char* kWhat[] = {"ratio", "compress", "decompress"};
  for (const auto& [spec, level] : kLevels) {
    std::vector<std::vector<double>> columns;
    for (const GroupFile& file : files) {
      columns.push_back(measure_level(file, spec, level));
      if (columns.back().empty()) return false;
    }
    for (std::size_t what = 0; what < std::size(kWhat); ++what) {
      double sum = 0;
      for (const auto& column : columns) sum += std::log(column[what]);
      std::printf("| %s: %s | %.3f |", spec, kWhat[what],
                  std::exp(sum / static_cast<double>(columns.size())));
      for (const auto& column : columns) std::printf(" %.3f |", column[what]);
      std::printf("\n");
    }
  }
  return true;
}

}  // namespace pleat
