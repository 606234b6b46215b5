// SPDX-License-Identifier: MIT OR Apache-2.0
// Frames that libzstd makes are decoded, in every tier; damaged ones are refused or yield what
// libzstd makes of them.
#include <errno.h>
#include <gtest/gtest.h>
#include <zdict.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <random>

#include "codec/guarded_buffer.h"
#include "codec/kernels.h"
#include "codec/sample_pages.h"
#include "codec/zstd/frame.h"
#include "repetitions.h"

namespace pleat::codec {
namespace {

using Bytes = std::vector<std::byte>;

struct Encoding {
  int level = 1;
  bool checksum = false;
  bool content_size = true;
  std::size_t flush_every = 0;  // a block of its own for each so many bytes
  const Bytes* dictionary = nullptr;
};

class Libzstd {
 public:
  Bytes compress(const Bytes& content, const Encoding& encoding) {
    ZSTD_CCtx_reset(encoder_.get(), ZSTD_reset_session_and_parameters);
    set(ZSTD_c_compressionLevel, encoding.level);
    set(ZSTD_c_checksumFlag, encoding.checksum);
    set(ZSTD_c_contentSizeFlag, encoding.content_size);
    // Where the size is not known libzstd would make tables for megabytes.
    set(ZSTD_c_windowLog, 14);
    if (encoding.dictionary != nullptr) {
      check(ZSTD_CCtx_loadDictionary(encoder_.get(), encoding.dictionary->data(),
                                     encoding.dictionary->size()));
    }
    if (encoding.flush_every == 0 || encoding.content_size) {
      check(ZSTD_CCtx_setPledgedSrcSize(encoder_.get(), content.size()));
    }
    Bytes frame(ZSTD_compressBound(content.size()) + 32 * content.size());
    ZSTD_outBuffer out{frame.data(), frame.size(), 0};
    std::size_t fed = 0;
    do {
      const std::size_t rest = content.size() - fed;
      const std::size_t part =
          encoding.flush_every == 0 ? rest : std::min(rest, encoding.flush_every);
      const bool is_last = part == rest;
      ZSTD_inBuffer in{content.data() + fed, part, 0};
      while (check(ZSTD_compressStream2(encoder_.get(), &out, &in,
                                        is_last ? ZSTD_e_end : ZSTD_e_flush)) != 0) {
      }
      fed += part;
    } while (fed < content.size());
    frame.resize(out.pos);
    return frame;
  }

  // Empty where it is refused, as it is for nothing of no length.
  Bytes decompress(const Bytes& frame, const Bytes* dictionary) {
    Bytes content(kZstdBytesMax);
    const std::size_t size = ZSTD_decompress_usingDict(
        decoder_.get(), content.data(), content.size(), frame.data(), frame.size(),
        dictionary != nullptr ? dictionary->data() : nullptr,
        dictionary != nullptr ? dictionary->size() : 0);
    content.resize(ZSTD_isError(size) != 0 ? 0 : size);
    return content;
  }

 private:
  static std::size_t check(std::size_t result) {
    if (ZSTD_isError(result) != 0) ADD_FAILURE() << ZSTD_getErrorName(result);
    return result;
  }
  void set(ZSTD_cParameter parameter, int value) {
    check(ZSTD_CCtx_setParameter(encoder_.get(), parameter, value));
  }

  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> encoder_{ZSTD_createCCtx(), ZSTD_freeCCtx};
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> decoder_{ZSTD_createDCtx(), ZSTD_freeDCtx};
};

class ZstdDecode : public testing::Test {
 protected:
  // Decodes between inaccessible pages by every tier, which have to agree.
  ZstdDecoded decode(const Bytes& frame, Bytes& content, const ZstdDictionary* dictionary = nullptr,
                     std::size_t capacity = kZstdBytesMax) {
    ZstdDecoded first{0, 0};
    bool is_first = true;
    for (const Kernels* tier : available_kernels()) {
      for (const bool end : {false, true}) {
        std::byte* const src = in_.at_edge(end, frame.size());
        if (!frame.empty()) std::memcpy(src, frame.data(), frame.size());
        std::byte* const dst = out_.at_edge(end, capacity);
        const ZstdDecoded decoded =
            decode_zstd_frame(*tier, {src, frame.size()}, {dst, capacity}, dictionary, *decoder_);
        if (is_first) {
          first = decoded;
          content.assign(dst, dst + decoded.size);
        }
        is_first = false;
        EXPECT_EQ(decoded.error, first.error) << tier->name;
        EXPECT_EQ(decoded.size, first.size) << tier->name;
        EXPECT_EQ(Bytes(dst, dst + decoded.size), content) << tier->name;
      }
    }
    return first;
  }

  void expect_decoded(const Bytes& content, const Encoding& encoding,
                      const ZstdDictionary* dictionary = nullptr) {
    const Bytes frame = libzstd_.compress(content, encoding);
    if (frame.size() > test::GuardedBuffer::kBytes) return;
    Bytes decoded;
    const ZstdDecoded result = decode(frame, decoded, dictionary, content.size());
    ASSERT_EQ(result.error, 0);
    ASSERT_EQ(decoded, content);
  }

  Libzstd libzstd_;
  std::unique_ptr<ZstdDecoder> decoder_ = std::make_unique<ZstdDecoder>();
  test::GuardedBuffer in_;
  test::GuardedBuffer out_;
};

Bytes bytes_of(const test::SamplePage& page) { return {page.bytes.begin(), page.bytes.end()}; }

// Pages, and groups of what stands beside each other.
std::vector<Bytes> contents(std::size_t per_corpus) {
  std::vector<Bytes> contents;
  auto pages = test::real_pages(per_corpus);
  const auto synthetic = test::synthetic_pages();
  pages.insert(pages.end(), synthetic.begin(), synthetic.end());
  Bytes group;
  for (const auto& page : pages) {
    contents.push_back(bytes_of(page));
    group.insert(group.end(), page.bytes.begin(), page.bytes.end());
    if (group.size() < kZstdBytesMax) continue;
    contents.push_back(std::move(group));
    group.clear();
  }
  return contents;
}

TEST_F(ZstdDecode, FramesOfEveryLevel) {
  constexpr int kLevels[] = {-7, -3, -1, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 16, 17, 18, 19};
  std::size_t number = 0;
  for (const Bytes& content : contents(8)) {
    SCOPED_TRACE("content " + std::to_string(number++));
    for (const int level : kLevels) {
      SCOPED_TRACE("level " + std::to_string(level));
      expect_decoded(
          content, {.level = level, .checksum = number % 2 == 0, .content_size = number % 3 != 0});
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(ZstdDecode, EveryLengthUpToAFewHundred) {
  const Bytes page = bytes_of(test::real_pages(1)[1]);
  for (std::size_t size = 1; size <= 700; ++size) {
    SCOPED_TRACE("size " + std::to_string(size));
    const Bytes content(page.begin() + static_cast<std::ptrdiff_t>(size),
                        page.begin() + static_cast<std::ptrdiff_t>(2 * size));
    for (const int level : {-5, 1, 3, 19}) {
      expect_decoded(content, {.level = level, .checksum = true, .content_size = size % 2 == 0});
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(ZstdDecode, NothingIsAFrameToo) {
  const Bytes frame = libzstd_.compress({}, {});
  Bytes content;
  EXPECT_EQ(decode(frame, content).error, 0);
  EXPECT_TRUE(content.empty());
}

// Tables and offsets are taken over from block to block.
TEST_F(ZstdDecode, FramesOfSeveralBlocks) {
  std::size_t number = 0;
  for (const Bytes& content : contents(2)) {
    constexpr std::size_t kEvery[] = {300, 1000, 2048, 5000};
    SCOPED_TRACE("content " + std::to_string(number));
    for (const int level : {-1, 1, 6}) {
      expect_decoded(content, {.level = level,
                               .checksum = true,
                               .content_size = number % 2 == 0,
                               .flush_every = kEvery[number % 4]});
      if (HasFatalFailure()) return;
    }
    ++number;
  }
}

Bytes train(std::size_t size) {
  Bytes samples;
  std::vector<std::size_t> sizes;
  for (const auto& page : test::real_pages(32)) {
    samples.insert(samples.end(), page.bytes.begin(), page.bytes.end());
    sizes.push_back(kPageSize);
  }
  Bytes dictionary(size);
  const std::size_t trained =
      ZDICT_trainFromBuffer(dictionary.data(), dictionary.size(), samples.data(), sizes.data(),
                            static_cast<unsigned>(sizes.size()));
  EXPECT_EQ(ZDICT_isError(trained), 0u) << ZDICT_getErrorName(trained);
  dictionary.resize(ZDICT_isError(trained) != 0 ? 0 : trained);
  return dictionary;
}

TEST_F(ZstdDecode, FramesWithADictionary) {
  const Bytes trained = train(8192);
  const Bytes content_alone = bytes_of(test::real_pages(1).back());
  for (const Bytes& bytes : {trained, content_alone}) {
    auto dictionary = ZstdDictionary::open(bytes);
    ASSERT_TRUE(dictionary.has_value()) << dictionary.error().message;
    EXPECT_EQ((*dictionary)->id() != 0, bytes == trained);
    for (const Bytes& content : contents(4)) {
      for (const int level : {-1, 1, 3, 9, 19}) {
        expect_decoded(content, {.level = level, .dictionary = &bytes}, dictionary->get());
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_F(ZstdDecode, AnotherDictionaryIsAskedFor) {
  const Bytes trained = train(8192);
  const Bytes frame = libzstd_.compress(bytes_of(test::real_pages(1)[0]), {.dictionary = &trained});
  Bytes content;
  EXPECT_EQ(decode(frame, content).error, ENOKEY);
  Bytes other = trained;
  other[4] ^= std::byte{1};
  const auto dictionary = ZstdDictionary::open(other);
  ASSERT_TRUE(dictionary.has_value());
  EXPECT_EQ(decode(frame, content, dictionary->get()).error, ENOKEY);
}

TEST_F(ZstdDecode, DamagedDictionariesAreRefusedOrSafe) {
  const Bytes trained = train(4096);
  std::mt19937 random(3);
  std::size_t refused = 0;
  const Bytes frame = libzstd_.compress(bytes_of(test::real_pages(1)[0]), {.dictionary = &trained});
  for (std::size_t size = 8; size < 300; ++size) {
    const Bytes cut(trained.begin(), trained.begin() + static_cast<std::ptrdiff_t>(size));
    refused += !ZstdDictionary::open(cut).has_value();
  }
  EXPECT_GT(refused, 100u);
  for (unsigned round = 0; round < test::repetitions(2000); ++round) {
    Bytes damaged = trained;
    damaged[8 + random() % 200] ^= static_cast<std::byte>(1u << random() % 8);
    const auto dictionary = ZstdDictionary::open(damaged);
    if (!dictionary.has_value()) continue;
    Bytes content;
    decode(frame, content, dictionary->get());
  }
}

TEST_F(ZstdDecode, WhatDoesNotFitIsRefused) {
  const Bytes content = bytes_of(test::real_pages(1)[0]);
  for (const bool content_size : {false, true}) {
    const Bytes frame = libzstd_.compress(content, {.content_size = content_size});
    Bytes decoded;
    EXPECT_EQ(decode(frame, decoded, nullptr, content.size() - 1).error,
              content_size ? EMSGSIZE : EBADMSG);
    EXPECT_EQ(decode(frame, decoded, nullptr, content.size()).error, 0);
  }
}

TEST_F(ZstdDecode, TruncatedFramesAreRefused) {
  for (const int level : {-1, 1, 19}) {
    for (const auto& page : test::real_pages(1)) {
      Bytes frame = libzstd_.compress(bytes_of(page), {.level = level, .content_size = false});
      while (!frame.empty()) {
        frame.pop_back();
        Bytes content;
        ASSERT_NE(decode(frame, content).error, 0);
      }
    }
  }
}

// libzstd 1.5.4 takes some frames that break a rule (streams that are not used up, or reach before
// their beginning), so its word counts for those that are decoded alone.
TEST_F(ZstdDecode, DamagedFramesAreRefusedOrAreWhatLibzstdSays) {
  std::mt19937 random(1);
  std::size_t good = 0;
  std::size_t refused = 0;
  for (const auto& page : test::real_pages(4)) {
    for (const int level : {-1, 1, 3, 19}) {
      const Bytes frame = libzstd_.compress(bytes_of(page), {.level = level});
      for (unsigned round = 0; round < test::repetitions(60); ++round) {
        Bytes damaged = frame;
        // The tables, which come first, as often as all else.
        const std::size_t reach =
            round % 2 == 0 ? damaged.size() : std::min<std::size_t>(damaged.size(), 120);
        for (std::size_t flips = 1 + random() % 3; flips > 0; --flips) {
          damaged[random() % reach] ^= static_cast<std::byte>(1u << random() % 8);
        }
        Bytes content;
        if (decode(damaged, content).error != 0) {
          ++refused;
          continue;
        }
        ++good;
        ASSERT_EQ(content, libzstd_.decompress(damaged, nullptr));
      }
    }
  }
  EXPECT_GT(good, 100u);
  EXPECT_GT(refused, 100u);
}

// Builds frames byte by byte, right or wrong. Without content size, with a window of 1 KiB.
class FrameBuilder {
 public:
  explicit FrameBuilder(unsigned descriptor = 0) {
    put({0x28, 0xb5, 0x2f, 0xfd, descriptor});
    if ((descriptor & 32) == 0) put({0});
  }
  FrameBuilder& put(std::initializer_list<unsigned> bytes) {
    for (const unsigned byte : bytes) frame_.push_back(static_cast<std::byte>(byte));
    return *this;
  }
  FrameBuilder& block(unsigned kind, const std::vector<unsigned>& content, bool is_last = true) {
    header(kind, content.size(), is_last);
    for (const unsigned byte : content) put({byte});
    return *this;
  }
  FrameBuilder& rle(unsigned byte, std::size_t size, bool is_last = true) {
    header(1, size, is_last);
    return put({byte});
  }
  FrameBuilder& header(unsigned kind, std::size_t size, bool is_last = true) {
    const auto word = static_cast<unsigned>(size) << 3 | kind << 1 | (is_last ? 1u : 0u);
    return put({word & 255, word >> 8 & 255, word >> 16});
  }
  operator Bytes() const { return frame_; }  // NOLINT: implicit on purpose

 private:
  Bytes frame_;
};

// Four literals, and what follows.
std::vector<unsigned> with_literals(const std::vector<unsigned>& sequences) {
  std::vector<unsigned> block = {4 << 3, 'a', 'b', 'c', 'd'};
  block.insert(block.end(), sequences.begin(), sequences.end());
  return block;
}

// One sequence of three codes, each of which is its table's only one, and a stream of their bits.
std::vector<unsigned> one_sequence(unsigned literals, unsigned offset, unsigned match,
                                   const std::vector<unsigned>& stream, unsigned modes = 0x54) {
  std::vector<unsigned> sequences = {1, modes, literals, offset, match};
  sequences.insert(sequences.end(), stream.begin(), stream.end());
  return with_literals(sequences);
}

struct Golden {
  const char* name;
  Bytes frame;
  std::optional<std::size_t> size;  // none: refused
  bool libzstd_agrees = true;       // some rules libzstd 1.5.4 does not insist on
};

// Frames that keep a rule, and beside them some that break it.
std::vector<Golden> golden_frames() {
  using F = FrameBuilder;
  constexpr unsigned kRaw = 0;
  constexpr unsigned kCompressed = 2;
  const std::vector<unsigned> four = {'a', 'b', 'c', 'd'};
  const auto sequence = [](const std::vector<unsigned>& content) {
    return Bytes(F().block(kCompressed, content));
  };
  Bytes bad_magic = F().block(kRaw, four);
  bad_magic[0] = std::byte{0x29};
  Bytes large_window = F().block(kRaw, four);
  large_window[5] = std::byte{22 << 3};
  Bytes largest_window = F().block(kRaw, four);
  largest_window[5] = std::byte{21 << 3};
  return {
      {"a raw block", F().block(kRaw, four), 4},
      {"no byte", {}, {}},
      {"another magic number", bad_magic, {}},
      {"a reserved bit in the descriptor", F(8).block(kRaw, four), {}},
      {"the largest window", largest_window, 4},
      {"a window too large", large_window, {}},
      {"a descriptor alone",
       Bytes{std::byte{0x28}, std::byte{0xb5}, std::byte{0x2f}, std::byte{0xfd}, std::byte{0}},
       {}},
      {"no block", F(), {}},
      {"no last block", F().block(kRaw, four, false), {}},
      {"two blocks", F().block(kRaw, four, false).block(kRaw, four), 8},
      {"a reserved block", F().block(3, four), {}},
      {"a block of repeated bytes", F().rle('x', 1000), 1000},
      {"a block cut off", F().header(kRaw, 5).put({1, 2, 3, 4}), {}},
      {"a block larger than the window", F().rle('x', 1025), {}, false},
      {"a byte behind the frame", F().block(kRaw, four).put({0}), {}},
      {"the content's size", F(32).put({4}).block(kRaw, four), 4},
      {"another size than the content's", F(32).put({5}).block(kRaw, four), {}},
      {"a wrong checksum", F(4).block(kRaw, four).put({1, 2, 3, 4}), {}},
      {"a checksum cut off", F(4).block(kRaw, four).put({1, 2, 3}), {}},

      {"literals alone", sequence(with_literals({0})), 4},
      {"an empty compressed block", sequence({}), {}},
      {"literals cut off", sequence({5 << 3, 'a', 'b', 'c', 'd'}), {}},
      {"no sequences section", sequence({4 << 3, 'a', 'b', 'c', 'd'}), {}},
      {"no sequences in two bytes", sequence(with_literals({128, 0})), {}},
      {"a byte behind no sequences", sequence(with_literals({0, 0})), {}},
      {"repeated literals", sequence({9 << 3 | 1, 'a', 0}), 9},
      {"repeated literals without a byte", sequence({9 << 3 | 1}), {}},
      {"treeless literals without a tree before", sequence({3 | 4 << 4, 2 << 6, 0, 1, 1, 0}), {}},

      // Weights of half a byte each, and a stream of literals.
      {"a code of two literals", sequence({0x42, 0xc0, 0, 128, 0x10, 0b10110, 0}), 4},
      {"a code cut off", sequence({0x42, 0x40, 0, 128, 0}), {}},
      {"a code without a longest pair", sequence({0x42, 0xc0, 0, 128, 0x20, 0b10110, 0}), {}},
      {"weights that leave no power of two", sequence({0x42, 0xc0, 0, 129, 0x31, 0b10110, 0}), {}},
      {"a literal's bit that is not read", sequence({0x42, 0xc0, 0, 128, 0x10, 0b110110, 0}), {}},
      {"a literal's bit too few", sequence({0x42, 0xc0, 0, 128, 0x10, 0b1110, 0}), {}},
      {"a code of 11 bits",
       sequence({0x42, 0, 2, 138, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0b11111, 0}), 4},
      {"a code of 12 bits",
       sequence({0x42, 0, 2, 139, 0xcb, 0xa9, 0x87, 0x65, 0x43, 0x21, 0b11111, 0}),
       {},
       false},
      {"6 literals in four streams",
       sequence({0x66, 0, 3, 128, 0x10, 1, 0, 1, 0, 1, 0, 5, 5, 5, 1, 0}), 6},
      {"5 literals in four streams",
       sequence({0x56, 0, 3, 128, 0x10, 1, 0, 1, 0, 1, 0, 5, 5, 2, 1, 0}),
       {}},
      {"streams of literals that reach too far",
       sequence({0x66, 0, 3, 128, 0x10, 1, 0, 1, 0, 9, 0, 5, 5, 5, 1, 0}),
       {}},

      // Offset code 2 has two further bits: 4 and these, less 3.
      {"a match at offset 4", sequence(one_sequence(4, 2, 1, {0b111})), 8},
      {"a match at offset 1", sequence(one_sequence(4, 2, 1, {0b100})), 8},
      {"an offset before the frame", sequence(one_sequence(3, 2, 1, {0b111})), {}},
      {"a repeated offset", sequence(one_sequence(4, 0, 1, {0b1})), 8},
      {"a repeated offset before the frame", sequence(one_sequence(4, 1, 1, {0b11})), {}},
      {"the last offset less one is zero", sequence(one_sequence(0, 1, 1, {0b11})), {}},
      {"an offset larger than the window",
       F().rle('x', 1000, false)
           .rle('y', 1000, false)
           .block(kCompressed, one_sequence(4, 10, 1, {0xdf, 5})),
       2008},
      {"more literals than there are", sequence(one_sequence(5, 2, 1, {0b111})), {}},
      {"literals behind the match", sequence(one_sequence(1, 0, 1, {0b1})), 8},
      {"a bit that is not read", sequence(one_sequence(4, 2, 1, {0b1111})), {}},
      {"a bit too few", sequence(one_sequence(4, 2, 1, {0b11})), {}, false},
      {"an empty stream", sequence(one_sequence(4, 2, 1, {})), {}},
      {"a stream without an end", sequence(one_sequence(4, 2, 1, {0})), {}},
      {"a code of literal lengths too large", sequence(one_sequence(36, 2, 1, {0b111})), {}},
      {"a code of match lengths too large", sequence(one_sequence(4, 2, 53, {0b111})), {}},
      {"a code of offsets too large", sequence(one_sequence(4, 32, 1, {0b111})), {}},
      {"a match of 64 KiB", sequence(one_sequence(4, 0, 52, {0, 0, 1})), {}},
      {"reserved bits in the modes", sequence(one_sequence(4, 2, 1, {0b111}, 0x55)), {}, false},
      {"a table repeated without one before", sequence(one_sequence(4, 2, 1, {0b111}, 0xd4)), {}},
      {"modes cut off", sequence(with_literals({1})), {}},
      {"a number of sequences cut off", sequence(with_literals({128})), {}},
      {"a table of too many states",
       sequence(with_literals({1, 0x80, 0x0f, 0, 0, 0, 0, 0, 1})),
       {}},
  };
}

TEST_F(ZstdDecode, GoldenFrames) {
  for (const Golden& golden : golden_frames()) {
    SCOPED_TRACE(golden.name);
    Bytes content;
    const ZstdDecoded decoded = decode(golden.frame, content);
    EXPECT_EQ(decoded.error, golden.size ? 0 : EBADMSG);
    EXPECT_EQ(decoded.size, golden.size.value_or(0));
    if (golden.libzstd_agrees) {
      EXPECT_EQ(libzstd_.decompress(golden.frame, nullptr), content);
    }
  }
}

TEST_F(ZstdDecode, OffsetsReachIntoTheDictionaryAndNoFurther) {
  const Bytes bytes = bytes_of(test::real_pages(1)[0]);
  const Bytes content(bytes.begin(), bytes.begin() + 16);
  const auto dictionary = ZstdDictionary::open(content);
  ASSERT_TRUE(dictionary.has_value());
  // Of four literals and 16 bytes of dictionary, as code 4 (16 and four bits, less 3).
  for (const unsigned offset : {20u, 21u}) {
    const Bytes frame = FrameBuilder().block(2, one_sequence(4, 4, 1, {offset + 3}));
    Bytes decoded;
    const ZstdDecoded result = decode(frame, decoded, dictionary->get());
    EXPECT_EQ(result.error, offset == 20 ? 0 : EBADMSG);
    EXPECT_EQ(decoded, libzstd_.decompress(frame, &content));
  }
}

TEST_F(ZstdDecode, RandomBytesAreSafe) {
  std::mt19937 random(2);
  const Bytes frame = libzstd_.compress(bytes_of(test::real_pages(1)[0]), {});
  for (unsigned round = 0; round < test::repetitions(20'000); ++round) {
    // A frame's and a block's header, so that the decoder gets far.
    Bytes bytes(frame.begin(), frame.begin() + 10);
    const std::size_t size = random() % 200;
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::byte>(random()));
    bytes[9] = static_cast<std::byte>(size >> 5);
    bytes[8] = static_cast<std::byte>(size << 3 | 5);
    Bytes content;
    decode(bytes, content);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace pleat::codec
