// SPDX-License-Identifier: MIT OR Apache-2.0
// What compressing four neighbours together brings the store, and what it costs a reader:
//
//     group_bench GROUPS_FILE...
//
// Each file holds groups of 16 KiB, one after the other. A store is filled with copies of them,
// each page is recompressed, the store compacted, and all pages are read in random order; then a
// third of them is discarded. With line
// also by batches that somebody else compresses, whose own time is left out. Then groups as single
// zstd blocks, beside libzstd's in turns.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/page.h"
#include "codec/batch_compressor.h"
#include "codec/kernels.h"
#include "codec/page_codec.h"
#include "group_blocks.h"
#include "store/store.h"

namespace pleat {
namespace {

// A smaller store is less dense, since each size class has a span that is not full.
constexpr std::uint64_t kStoreBytes = std::uint64_t{64} << 20;

// Somebody else, as a GPU, and how long they took.
class OtherCompressor : public codec::BatchCompressor {
 public:
  explicit OtherCompressor(codec::PageCodec codec)
      : codec_(std::move(codec)), pages_(kPages * kPageSize), blocks_(kPages * kPageSize) {}

  codec::CodecId codec() const noexcept override { return codec::CodecId::kLine; }
  std::size_t pages_max() const noexcept override { return kPages; }
  std::byte* page(std::size_t i) noexcept override { return pages_.data() + i * kPageSize; }
  int compress(std::size_t count) noexcept override {
    const std::uint64_t start_ns = monotonic_ns();
    for (std::size_t i = 0; i < count; ++i) {
      sizes_[i] = codec_.encode(page(i), blocks_.data() + i * kPageSize, kPageSize).size;
    }
    took_ns += monotonic_ns() - start_ns;
    return 0;
  }
  std::size_t take_block(std::size_t i, std::byte* dst, std::size_t capacity) noexcept override {
    if (sizes_[i] > capacity) return 0;
    std::memcpy(dst, blocks_.data() + i * kPageSize, sizes_[i]);
    return sizes_[i];
  }

  std::uint64_t took_ns = 0;

 private:
  static constexpr std::size_t kPages = 1024;

  codec::PageCodec codec_;
  std::vector<std::byte> pages_;
  std::vector<std::byte> blocks_;
  std::array<std::size_t, kPages> sizes_{};
};

struct Measured {
  double ratio = 0;       // bytes stored of pool memory
  double grouped = 0;     // pages of all
  double recompress = 0;  // us a page
  double read = 0;        // us a page
  // Where a third of the pages is gone, and where those that are left were recompressed then.
  double ratio_after_loss = 0;
  double ratio_mended = 0;
};

double ratio_in(const store::Store& store) {
  const store::StoreStats stats = store.stats();
  return static_cast<double>(stats.orig_data_size) / static_cast<double>(stats.mem_used_total);
}

bool measure(const std::vector<char>& groups, const std::string& spec, OtherCompressor* other,
             Measured* measured) {
  store::StoreOptions options;
  options.device_bytes = kStoreBytes;
  options.recompress = spec;
  options.kernels = codec::available_kernels().back();
  auto store = store::Store::create(options);
  if (!store) return std::fprintf(stderr, "%s\n", store.error().message.c_str()), false;
  auto session = (*store)->open_session();
  if (!session) return std::fprintf(stderr, "%s\n", session.error().message.c_str()), false;
  const std::uint64_t pages = (*store)->slots();
  for (std::uint64_t slot = 0; slot < pages; ++slot) {
    const auto* const page = groups.data() + slot * kPageSize % groups.size();
    if ((*session)->write(slot, reinterpret_cast<const std::byte*>(page)) !=
        store::StoreStatus::kOk) {
      return std::fprintf(stderr, "the store has no memory\n"), false;
    }
  }
  const std::uint64_t before_ns = other != nullptr ? other->took_ns : 0;
  const std::uint64_t start_ns = monotonic_ns();
  const auto done = (*store)->recompress({.batches = other});
  if (!done || !done->done) return false;
  const std::uint64_t recompressed_ns =
      monotonic_ns() - (other != nullptr ? other->took_ns - before_ns : 0);
  (void)(*store)->compact();
  std::vector<std::uint64_t> order(pages);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  const auto page = std::make_unique<std::byte[]>(kPageSize);
  const std::uint64_t read_ns = monotonic_ns();
  for (const std::uint64_t slot : order) {
    if ((*session)->read(slot, page.get()) != store::StoreStatus::kOk) return false;
  }
  const std::uint64_t end_ns = monotonic_ns();
  const auto count = static_cast<double>(pages);
  *measured = {ratio_in(**store), static_cast<double>((*store)->stats().pages_grouped) / count,
               static_cast<double>(recompressed_ns - start_ns) / 1e3 / count,
               static_cast<double>(end_ns - read_ns) / 1e3 / count};
  order.resize(order.size() / 3);
  for (const std::uint64_t slot : order) (*session)->discard(slot, 1);
  (void)(*store)->compact();
  measured->ratio_after_loss = ratio_in(**store);
  if (const auto mended = (*store)->recompress({}); !mended || !mended->done) return false;
  (void)(*store)->compact();
  measured->ratio_mended = ratio_in(**store);
  return true;
}

// A row, with the geometric mean of positive numbers first, else the mean.
void print_row(const std::string& name, const std::vector<double>& numbers) {
  const bool is_positive = std::ranges::all_of(numbers, [](double n) { return n > 0; });
  double sum = 0;
  for (const double number : numbers) sum += is_positive ? std::log(number) : number;
  sum /= static_cast<double>(numbers.size());
  std::printf("| %s | %.3f |", name.c_str(), is_positive ? std::exp(sum) : sum);
  for (const double number : numbers) std::printf(" %.3f |", number);
  std::printf("\n");
}

int run(const std::vector<std::string>& paths) {
  std::vector<GroupFile> files;
  for (const std::string& path : paths) {
    std::ifstream in(path, std::ios::binary);
    GroupFile file{std::filesystem::path(path).stem().string(),
                   {std::istreambuf_iterator<char>(in), {}}};
    file.bytes.resize(file.bytes.size() / kGroupBytes * kGroupBytes);
    files.push_back(std::move(file));
  }
  std::printf("| | mean |");
  for (const GroupFile& file : files) std::printf(" %s |", file.name.c_str());
  std::printf("\n|---|---:|");
  for (std::size_t i = 0; i < files.size(); ++i) std::printf("---:|");
  std::printf("\n");
  auto line = codec::PageCodec::open("line", *codec::available_kernels().back());
  if (!line) return std::fprintf(stderr, "%s\n", line.error().message.c_str()), 1;
  OtherCompressor other(*std::move(line));
  constexpr const char* kByBatches = "line, by batches";
  for (const char* spec :
       {"line", kByBatches, "lz4", "lz4,block=16384", "lz4hc", "lz4hc,block=16384", "zstd",
        "zstd,block=16384", "zstd:9", "zstd:9,block=16384", "zstd:19", "zstd:19,block=16384"}) {
    const bool is_by_batches = std::string_view(spec) == kByBatches;
    std::vector<double> ratio;
    std::vector<double> grouped;
    std::vector<double> recompress;
    std::vector<double> read;
    std::vector<double> after_loss;
    std::vector<double> mended;
    for (const GroupFile& file : files) {
      Measured measured;
      if (file.bytes.empty() || !measure(file.bytes, is_by_batches ? "line" : spec,
                                         is_by_batches ? &other : nullptr, &measured)) {
        std::fprintf(stderr, "group_bench: %s was not measured\n", file.name.c_str());
        return 1;
      }
      ratio.push_back(measured.ratio);
      grouped.push_back(measured.grouped);
      recompress.push_back(measured.recompress);
      read.push_back(measured.read);
      after_loss.push_back(measured.ratio_after_loss);
      mended.push_back(measured.ratio_mended);
    }
    const std::string name = spec;
    print_row(name + ": ratio in the store", ratio);
    print_row(name + ": pages in groups, of all", grouped);
    print_row(name + ": recompression, us a page", recompress);
    print_row(name + ": read, us a page", read);
    print_row(name + ": ratio where a third is gone", after_loss);
    print_row(name + ": ratio where they are recompressed then", mended);
  }
  if (!print_blocks_beside_libzstd(files)) {
    std::fprintf(stderr, "group_bench: a zstd block of a group did not come back\n");
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace pleat

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: group_bench GROUPS_FILE...\n"), 2;
  return pleat::run({argv + 1, argv + argc});
}
