// SPDX-License-Identifier: MIT OR Apache-2.0
// The constants of the zstd format, from RFC 8878 ("Zstandard Compression"), whose sections are
// named beside them. docs/formats/zstd.md says what of it is written here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/page.h"

namespace pleat::codec {

// The most bytes that a frame may yield here.
inline constexpr std::size_t kZstdBytesMax = kGroupBytes;

// What a code of a literal length or a match length stands for: `base`, and the value of so many
// further bits (3.1.1.3.2.1.1).
struct ZstdCode {
  std::uint32_t base;
  std::uint8_t extra_bits;
};

inline constexpr std::size_t kZstdLiteralLengthCodes = 36;
inline constexpr std::size_t kZstdMatchLengthCodes = 53;
// The code of an offset is the number of its further bits.
inline constexpr std::size_t kZstdOffsetCodes = 32;

inline constexpr std::array<ZstdCode, kZstdLiteralLengthCodes> kZstdLiteralLengths = {{
    {0, 0},     {1, 0},      {2, 0},      {3, 0},      {4, 0},   {5, 0},     {6, 0},     {7, 0},
    {8, 0},     {9, 0},      {10, 0},     {11, 0},     {12, 0},  {13, 0},    {14, 0},    {15, 0},
    {16, 1},    {18, 1},     {20, 1},     {22, 1},     {24, 2},  {28, 2},    {32, 3},    {40, 3},
    {48, 4},    {64, 6},     {128, 7},    {256, 8},    {512, 9}, {1024, 10}, {2048, 11}, {4096, 12},
    {8192, 13}, {16384, 14}, {32768, 15}, {65536, 16},
}};

inline constexpr std::array<ZstdCode, kZstdMatchLengthCodes> kZstdMatchLengths = {{
    {3, 0},     {4, 0},     {5, 0},      {6, 0},      {7, 0},      {8, 0},   {9, 0},     {10, 0},
    {11, 0},    {12, 0},    {13, 0},     {14, 0},     {15, 0},     {16, 0},  {17, 0},    {18, 0},
    {19, 0},    {20, 0},    {21, 0},     {22, 0},     {23, 0},     {24, 0},  {25, 0},    {26, 0},
    {27, 0},    {28, 0},    {29, 0},     {30, 0},     {31, 0},     {32, 0},  {33, 0},    {34, 0},
    {35, 1},    {37, 1},    {39, 1},     {41, 1},     {43, 2},     {47, 2},  {51, 3},    {59, 3},
    {67, 4},    {83, 4},    {99, 5},     {131, 7},    {259, 8},    {515, 9}, {1027, 10}, {2051, 11},
    {4099, 12}, {8195, 13}, {16387, 14}, {32771, 15}, {65539, 16},
}};

constexpr ZstdCode zstd_offset_code(std::size_t code) {
  return {std::uint32_t{1} << code, static_cast<std::uint8_t>(code)};
}

// The predefined distributions (3.1.1.3.2.2): how many of a table's states a symbol has, -1 for one
// that is as rare as can be.
inline constexpr unsigned kZstdLiteralLengthLogPredefined = 6;
inline constexpr std::array<std::int16_t, kZstdLiteralLengthCodes> kZstdLiteralLengthsPredefined = {
    4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1,  1,  2,  2,
    2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1};
inline constexpr unsigned kZstdMatchLengthLogPredefined = 6;
inline constexpr std::array<std::int16_t, kZstdMatchLengthCodes> kZstdMatchLengthsPredefined = {
    1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  1,  1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1};
inline constexpr unsigned kZstdOffsetLogPredefined = 5;
inline constexpr std::array<std::int16_t, 29> kZstdOffsetsPredefined = {
    1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1};

// The largest tables, as logarithms of their states (3.1.1.3.2.1, 4.2.1).
inline constexpr unsigned kZstdLiteralLengthLogMax = 9;
inline constexpr unsigned kZstdMatchLengthLogMax = 9;
inline constexpr unsigned kZstdOffsetLogMax = 8;
inline constexpr unsigned kZstdHuffmanLogMax = 11;
inline constexpr unsigned kZstdWeightLogMax = 6;

// How the table of a kind of code is given (3.1.1.3.2.1).
enum class ZstdMode : unsigned { kPredefined = 0, kRle = 1, kOwn = 2, kRepeat = 3 };
// How literals are (3.1.1.3.1.1).
enum class ZstdLiterals : unsigned { kRaw = 0, kRle = 1, kHuffman = 2, kTreeless = 3 };
// Kinds of blocks (3.1.1.2.2).
enum class ZstdBlock : unsigned { kRaw = 0, kRle = 1, kCompressed = 2, kReserved = 3 };

// What a dictionary begins with (5).
inline constexpr std::uint32_t kZstdDictionaryMagic = 0xec30a437;
// The three last offsets as a frame begins (3.1.1.5).
inline constexpr std::array<std::uint32_t, 3> kZstdRepeatOffsets = {1, 4, 8};
// Fewer literals than these are never in four streams.
inline constexpr std::size_t kZstdFourStreamsMin = 6;

}  // namespace pleat::codec
