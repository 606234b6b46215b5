// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/train.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/page.h"
#include "base/replace_file.h"
#include "codec/page_codec.h"
#include "codec/zstd/canned.h"
#include "codec/zstd/train_tables.h"
#include "tool/codec_bench.h"
#include "tool/page_set.h"
#include "tool/text_table.h"

namespace pleat::tool {
namespace {

// Every fourth page is held out.
constexpr std::size_t kEachOf = 4;

bool is_held_out(std::size_t page) { return page % kEachOf == kEachOf - 1; }

Result<std::vector<PageSet>> load(const std::vector<std::string>& paths) {
  std::vector<PageSet> sets;
  for (const std::string& path : paths) {
    std::error_code failure;
    const std::uintmax_t size = std::filesystem::file_size(path, failure);
    if (!failure && size % kPageSize != 0) {
      return Error{EINVAL,
                   fmt::format("{} is of {} bytes, which are no whole number of pages of {}", path,
                               size, kPageSize)};
    }
    auto loaded = load_page_sets(path, std::numeric_limits<std::size_t>::max(), 1);
    if (!loaded) return std::move(loaded).error();
    for (PageSet& set : *loaded) sets.push_back(std::move(set));
  }
  return sets;
}

Result<std::vector<std::byte>> make_dictionary(const std::vector<PageSet>& sets,
                                               const codec::Kernels& kernels) {
  std::vector<std::vector<std::byte>> pages;
  for (const PageSet& set : sets) {
    std::vector<std::byte>& kept = pages.emplace_back();
    for (std::size_t i = 0; i < set.count; ++i) {
      if (!is_held_out(i)) kept.insert(kept.end(), set.page(i), set.page(i) + kPageSize);
    }
  }
  const std::vector<codec::ZstdTrainingSet> spans(pages.begin(), pages.end());
  return codec::train_zstd_dictionary(spans, kernels);
}

double ratio(const PageSet& set, codec::PageCodec& codec) {
  std::size_t pages = 0;
  std::size_t bytes = 0;
  std::array<std::byte, kRawThresholdBytes> block;
  for (std::size_t i = 0; i < set.count; ++i) {
    if (!is_held_out(i)) continue;
    const std::size_t size = codec.compress(set.page(i), block.data(), block.size());
    bytes += size != 0 ? size : kPageSize;
    ++pages;
  }
  return pages == 0 ? 0 : static_cast<double>(pages * kPageSize) / static_cast<double>(bytes);
}

// The dictionary's worth, by codecs that read it from where it was written.
Result<void> measure(const std::vector<PageSet>& sets, const std::string& path,
                     const codec::Kernels& kernels, std::vector<TrainedFile>& files) {
  auto own = codec::PageCodec::open("zstd", kernels);
  if (!own) return std::move(own).error();
  auto canned = codec::PageCodec::open_with_dictionary(codec::ZstdTables::kCanned, path, kernels);
  if (!canned) return std::move(canned).error();
  auto mixed = codec::PageCodec::open_with_dictionary(codec::ZstdTables::kMixed, path, kernels);
  if (!mixed) return std::move(mixed).error();
  for (const PageSet& set : sets) {
    files.push_back(
        {set.name, set.count, ratio(set, *own), ratio(set, *canned), ratio(set, *mixed)});
  }
  return {};
}

}  // namespace

Result<TrainResult> train(const std::vector<std::string>& paths, const std::string& output,
                          const codec::Kernels& kernels) {
  auto sets = load(paths);
  if (!sets) return std::move(sets).error();
  auto dictionary = make_dictionary(*sets, kernels);
  if (!dictionary) return std::move(dictionary).error();
  const std::string_view text(reinterpret_cast<const char*>(dictionary->data()),
                              dictionary->size());
  auto written = replace_file(output, output + "." + std::to_string(::getpid()), text, 0644);
  if (!written) return std::move(written).error();
  TrainResult result;
  result.id = load_u32(dictionary->data() + sizeof(std::uint32_t));
  result.bytes = dictionary->size();
  auto measured = measure(*sets, output, kernels, result.files);
  if (!measured) return std::move(measured).error();
  return result;
}

std::string to_text(const TrainResult& result, const std::string& output) {
  const auto number = [](double value) { return fmt::format("{:.3f}", value); };
  std::vector<std::vector<std::string>> rows = {
      {"Pages held out", "Pages", "Own tables", "Canned", "of own", "Mixed", "of own"}};
  const auto add = [&](const std::string& name, std::size_t pages, double own, double canned,
                       double mixed) {
    rows.push_back({name, std::to_string(pages), number(own), number(canned), number(canned / own),
                    number(mixed), number(mixed / own)});
  };
  double own = 0;
  double canned = 0;
  double mixed = 0;
  std::size_t pages = 0;
  std::size_t files = 0;
  for (const TrainedFile& file : result.files) {
    const std::size_t held_out = file.pages / kEachOf;
    if (held_out == 0) continue;
    add(file.name, held_out, file.own, file.canned, file.mixed);
    own += std::log(file.own);
    canned += std::log(file.canned);
    mixed += std::log(file.mixed);
    pages += held_out;
    ++files;
  }
  std::string text =
      fmt::format("{}: a zstd dictionary of {} bytes, id {}\n", output, result.bytes, result.id);
  if (files == 0) return text;
  const auto mean = [files](double sum) { return std::exp(sum / static_cast<double>(files)); };
  add("geometric mean", pages, mean(own), mean(canned), mean(mixed));
  return text + "\n" + markdown_table(rows);
}

}  // namespace pleat::tool
