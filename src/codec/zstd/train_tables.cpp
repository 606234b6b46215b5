// SPDX-License-Identifier: MIT OR Apache-2.0
// Counts what zstd's own parse of the pages writes, and makes the tables by which it is shortest.
// What a page's literals are depends on the tables: where these save nothing it keeps them as they
// are. So tables are made several times, each of what the ones before would write.
#include "codec/zstd/train_tables.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>

#include "base/bytes.h"
#include "base/page.h"
#include "codec/isa/tables.h"
#include "codec/zstd/canned.h"
#include "codec/zstd/encoder.h"
#include "codec/zstd/xxh64.h"

namespace pleat::codec {
namespace {

constexpr unsigned kRounds = 6;
constexpr double kPageBits = kPageSize * 8;

// log2 of numbers of states, by squaring: libpleat does without libm, and the same on all machines.
constexpr auto kLog2 = [] {
  std::array<double, (1 << kZstdWriteLogMax) + 1> logarithms = {};
  for (std::size_t number = 1; number < logarithms.size(); ++number) {
    const auto whole = static_cast<unsigned>(std::bit_width(number)) - 1;
    double result = whole;
    double rest = static_cast<double>(number) / static_cast<double>(std::size_t{1} << whole);
    for (double bit = 0.5; bit > 1e-9; bit /= 2) {
      rest *= rest;
      if (rest < 2) continue;
      rest /= 2;
      result += bit;
    }
    logarithms[number] = result;
  }
  return logarithms;
}();

// How often each symbol comes, in one page or, weighted, in many.
template <typename Count>
struct Counts {
  std::array<Count, 256> literals = {};
  std::array<Count, kZstdPageLiteralLengthCodes> literal_lengths = {};
  std::array<Count, kZstdPageMatchLengthCodes> match_lengths = {};
  std::array<Count, kZstdPageOffsetCodes> offsets = {};
};

struct Page {
  Counts<std::uint16_t> counts;
  double further_bits = 0;  // of its sequences, beside their codes
};

// The code of a value: the last one of those whose base is no larger.
template <std::size_t kCodes>
std::size_t code_of(const std::array<ZstdCode, kCodes>& codes, std::uint32_t value) {
  const auto next = std::upper_bound(
      codes.begin(), codes.end(), value,
      [](std::uint32_t wanted, const ZstdCode& code) { return wanted < code.base; });
  return static_cast<std::size_t>(next - codes.begin()) - 1;
}

Page count_page(const std::byte* bytes, ZstdEncoder& encoder) {
  const ZstdParse parse = zstd_parse_scalar(bytes, encoder);
  Page page;
  for (std::size_t i = 0; i < parse.literals; ++i) {
    ++page.counts.literals[static_cast<std::size_t>(encoder.literals[i])];
  }
  for (std::size_t i = 0; i < parse.sequences; ++i) {
    const ZstdWrittenSequence& sequence = encoder.sequences[i];
    const std::size_t literal_length = code_of(kZstdLiteralLengths, sequence.literal_count);
    const std::size_t match_length = code_of(kZstdMatchLengths, sequence.length);
    const auto offset = static_cast<std::size_t>(std::bit_width(sequence.value)) - 1;
    ++page.counts.literal_lengths[literal_length];
    ++page.counts.match_lengths[match_length];
    ++page.counts.offsets[offset];
    page.further_bits += kZstdLiteralLengths[literal_length].extra_bits +
                         kZstdMatchLengths[match_length].extra_bits + static_cast<double>(offset);
  }
  return page;
}

// Lengths of the shortest code of at most kZstdHuffmanLogMax bits, by package-merge (Larmore and
// Hirschberg, "A fast algorithm for optimal length-limited Huffman codes", 1990).
void set_huffman_bits(const std::array<double, 256>& counts, ZstdShapes& shapes) {
  struct Package {
    double weight;
    std::array<std::uint8_t, 256> symbols;  // how often it has each
  };
  std::vector<Package> coins;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    coins.push_back({counts[symbol], {}});
    coins.back().symbols[symbol] = 1;
  }
  const auto is_lighter = [](const Package& a, const Package& b) { return a.weight < b.weight; };
  std::stable_sort(coins.begin(), coins.end(), is_lighter);
  std::vector<Package> row = coins;
  for (unsigned bits = 1; bits < kZstdHuffmanLogMax; ++bits) {
    std::vector<Package> pairs;
    for (std::size_t i = 0; i + 1 < row.size(); i += 2) {
      Package pair = row[i];
      pair.weight += row[i + 1].weight;
      for (std::size_t k = 0; k < 256; ++k) {
        pair.symbols[k] = static_cast<std::uint8_t>(pair.symbols[k] + row[i + 1].symbols[k]);
      }
      pairs.push_back(pair);
    }
    row.clear();
    std::merge(coins.begin(), coins.end(), pairs.begin(), pairs.end(), std::back_inserter(row),
               is_lighter);
  }
  std::fill(std::begin(shapes.huffman_bits), std::end(shapes.huffman_bits), std::uint8_t{0});
  for (std::size_t i = 0; i < 2 * 256 - 2; ++i) {
    for (std::size_t k = 0; k < 256; ++k) {
      shapes.huffman_bits[k] =
          static_cast<std::uint8_t>(shapes.huffman_bits[k] + row[i].symbols[k]);
    }
  }
}

// Gives each code one state of 2^log, and the others one by one to whose bits become fewest by it.
template <std::size_t kCodes>
void set_states(const std::array<double, kCodes>& counts, unsigned log,
                std::int16_t (&states)[kCodes]) {
  std::fill(std::begin(states), std::end(states), std::int16_t{1});
  for (std::size_t rest = (std::size_t{1} << log) - kCodes; rest > 0; --rest) {
    std::size_t best = 0;
    double most = -1;
    for (std::size_t code = 0; code < kCodes; ++code) {
      const double gain = counts[code] * (kLog2[static_cast<std::size_t>(states[code]) + 1] -
                                          kLog2[static_cast<std::size_t>(states[code])]);
      if (gain > most) {
        most = gain;
        best = code;
      }
    }
    ++states[best];
  }
}

ZstdShapes shapes_of(const Counts<double>& counts) {
  ZstdShapes shapes;
  set_huffman_bits(counts.literals, shapes);
  set_states(counts.literal_lengths, kZstdWriteLogMax, shapes.literal_lengths);
  set_states(counts.match_lengths, kZstdWriteLogMax, shapes.match_lengths);
  set_states(counts.offsets, kZstdWriteOffsetLogMax, shapes.offsets);
  return shapes;
}

template <std::size_t kCodes>
double bits_of(const std::array<std::uint16_t, kCodes>& counts, unsigned log,
               const std::int16_t (&states)[kCodes]) {
  double bits = 0;
  for (std::size_t code = 0; code < kCodes; ++code) {
    bits += counts[code] * (log - kLog2[static_cast<std::size_t>(states[code])]);
  }
  return bits;
}

// What a page takes by canned tables, and how.
struct Cost {
  double bits;
  bool codes_literals;
};

Cost cost_of(const Page& page, const ZstdShapes& shapes) {
  double literals = 0;
  double coded = 0;
  for (std::size_t symbol = 0; symbol < 256; ++symbol) {
    literals += page.counts.literals[symbol];
    coded += page.counts.literals[symbol] * shapes.huffman_bits[symbol];
  }
  // As the encoder does.
  const bool codes_literals = coded + 88 < literals * 8 * 60 / 64;
  return {page.further_bits + (codes_literals ? coded + 88 : literals * 8) +
              bits_of(page.counts.literal_lengths, kZstdWriteLogMax, shapes.literal_lengths) +
              bits_of(page.counts.match_lengths, kZstdWriteLogMax, shapes.match_lengths) +
              bits_of(page.counts.offsets, kZstdWriteOffsetLogMax, shapes.offsets),
          codes_literals};
}

template <std::size_t kCodes>
void add(std::array<double, kCodes>& sum, const std::array<std::uint16_t, kCodes>& counts,
         double weight) {
  for (std::size_t code = 0; code < kCodes; ++code) sum[code] += counts[code] * weight;
}

// Adds the counts of a set's pages that become smaller by these tables, or of all where there are
// none yet; each set so that its bits weigh as much as another's.
void add_set(const std::vector<Page>& pages, const ZstdShapes* shapes, Counts<double>& sum) {
  double set_bits = 0;
  std::vector<Cost> costs;
  for (const Page& page : pages) {
    costs.push_back(shapes != nullptr ? cost_of(page, *shapes) : Cost{kPageBits / 2, true});
    set_bits += std::min(costs.back().bits, kPageBits);
  }
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (costs[i].bits >= kPageBits * 3 / 4) continue;
    const double weight = 1 / set_bits;
    if (costs[i].codes_literals) add(sum.literals, pages[i].counts.literals, weight);
    add(sum.literal_lengths, pages[i].counts.literal_lengths, weight);
    add(sum.match_lengths, pages[i].counts.match_lengths, weight);
    add(sum.offsets, pages[i].counts.offsets, weight);
  }
}

std::vector<std::byte> dictionary_of(const ZstdShapes& shapes) {
  std::vector<std::byte> bytes(8 + kZstdShapesBound);
  const std::size_t tables = zstd_write_shapes_scalar(shapes, bytes.data() + 8);
  if (tables == 0) return {};
  // Offsets may be those that a frame begins with, where there is as much content.
  bytes.resize(8 + tables);
  const std::uint64_t hash = xxh64(std::span(bytes).subspan(8));
  put(bytes.data(), kZstdDictionaryMagic);
  // Ids from 32768 on are free for all, and below 65536 they take two bytes of a frame.
  put(bytes.data() + 4, static_cast<std::uint32_t>(32768 + hash % 32768));
  bytes.resize(bytes.size() + sizeof(kZstdRepeatOffsets) + kZstdRepeatOffsets[2]);
  std::memcpy(bytes.data() + 8 + tables, kZstdRepeatOffsets.data(), sizeof(kZstdRepeatOffsets));
  return bytes;
}

}  // namespace

Result<std::vector<std::byte>> train_zstd_dictionary(std::span<const ZstdTrainingSet> sets,
                                                     const Kernels& kernels) {
  const auto encoder = std::make_unique<ZstdEncoder>();
  std::vector<std::vector<Page>> pages;
  for (const ZstdTrainingSet& set : sets) {
    pages.emplace_back();
    for (std::size_t at = 0; at + kPageSize <= set.size(); at += kPageSize) {
      std::uint64_t pattern = 0;
      if (kernels.same_filled(set.data() + at, &pattern)) continue;
      pages.back().push_back(count_page(set.data() + at, *encoder));
    }
  }
  ZstdShapes shapes = {};
  for (unsigned round = 0; round < kRounds; ++round) {
    Counts<double> sum;
    for (const std::vector<Page>& set : pages) {
      if (!set.empty()) add_set(set, round == 0 ? nullptr : &shapes, sum);
    }
    const double literals = std::accumulate(sum.literals.begin(), sum.literals.end(), 0.0);
    if (literals == 0) break;
    shapes = shapes_of(sum);
  }
  std::vector<std::byte> dictionary;
  if (shapes.offsets[0] != 0) dictionary = dictionary_of(shapes);
  if (dictionary.empty()) {
    return Error{EINVAL, "these pages teach nothing: all are same-filled, or noise"};
  }
  return dictionary;
}

}  // namespace pleat::codec
