// SPDX-License-Identifier: MIT OR Apache-2.0
// The sequences of zstd blocks (RFC 8878, 3.1.1.3.2 and 3.1.1.4), carried out as they are read.
// Included by isa/*.cpp inside their target region.

// Every code's entry.
template <std::size_t kCodes, typename CodeOf>
constexpr std::array<ZstdSequenceEntry, kCodes> zstd_code_entries(const CodeOf& code_of) {
  std::array<ZstdSequenceEntry, kCodes> entries = {};
  for (std::size_t code = 0; code < kCodes; ++code) entries[code] = zstd_code_entry(code_of(code));
  return entries;
}
constexpr auto kZstdLiteralLengthEntries = zstd_code_entries<kZstdLiteralLengthCodes>(
    [](std::size_t code) { return kZstdLiteralLengths[code]; });
constexpr auto kZstdMatchLengthEntries = zstd_code_entries<kZstdMatchLengthCodes>(
    [](std::size_t code) { return kZstdMatchLengths[code]; });
constexpr auto kZstdOffsetEntries = zstd_code_entries<kZstdOffsetCodes>(zstd_offset_code);

// The predefined tables, built by the compiler.
struct ZstdPredefinedTables {
  ZstdSequenceEntry literal_lengths[1 << kZstdLiteralLengthLogPredefined] = {};
  ZstdSequenceEntry match_lengths[1 << kZstdMatchLengthLogPredefined] = {};
  ZstdSequenceEntry offsets[1 << kZstdOffsetLogPredefined] = {};

  constexpr ZstdPredefinedTables() {
    zstd_build_sequence_table(kZstdLiteralLengthsPredefined.data(),
                              kZstdLiteralLengthsPredefined.size(), kZstdLiteralLengthLogPredefined,
                              kZstdLiteralLengthEntries.data(), literal_lengths);
    zstd_build_sequence_table(kZstdMatchLengthsPredefined.data(),
                              kZstdMatchLengthsPredefined.size(), kZstdMatchLengthLogPredefined,
                              kZstdMatchLengthEntries.data(), match_lengths);
    zstd_build_sequence_table(kZstdOffsetsPredefined.data(), kZstdOffsetsPredefined.size(),
                              kZstdOffsetLogPredefined, kZstdOffsetEntries.data(), offsets);
  }
};
constexpr ZstdPredefinedTables kZstdPredefined;

constexpr auto kZstdLowMasks = [] {
  std::array<std::uint64_t, 33> masks = {};
  for (unsigned count = 0; count < masks.size(); ++count) {
    masks[count] = (std::uint64_t{1} << count) - 1;
  }
  return masks;
}();

// The lowest `count` bits of a word, up to 32.
PLEAT_INLINE std::uint64_t zstd_low(std::uint64_t word, unsigned count) noexcept {
  return word & kZstdLowMasks[count];
}

// Takes the table of one kind of code into force, and returns the bytes that its description takes;
// SIZE_MAX where that is none. A predefined one comes ready.
PLEAT_INLINE std::size_t zstd_read_sequence_table(ZstdMode mode, std::span<const std::byte> src,
                                                  std::span<const ZstdSequenceEntry> codes,
                                                  unsigned log_max,
                                                  const ZstdTable<ZstdSequenceEntry>& predefined,
                                                  ZstdSequenceEntry* memory,
                                                  ZstdTable<ZstdSequenceEntry>& table) noexcept {
  switch (mode) {
    case ZstdMode::kPredefined:
      table = predefined;
      return 0;
    case ZstdMode::kRepeat:
      return table.entries != nullptr ? 0 : SIZE_MAX;
    case ZstdMode::kRle:
      if (src.empty() || static_cast<std::size_t>(src[0]) >= codes.size()) return SIZE_MAX;
      memory[0] = codes[static_cast<std::size_t>(src[0])];
      table = {memory, 0};
      return 1;
    case ZstdMode::kOwn:
      break;
  }
  ZstdDistribution distribution;
  const std::size_t bytes = zstd_read_distribution(src, codes.size(), log_max, distribution);
  table = {};
  if (bytes == 0) return SIZE_MAX;
  zstd_build_sequence_table(distribution.counts, distribution.symbols, distribution.log,
                            codes.data(), memory);
  table = {memory, distribution.log};
  return bytes;
}

PLEAT_INLINE std::size_t zstd_read_literal_lengths(ZstdMode mode, std::span<const std::byte> src,
                                                   ZstdTableMemory& memory,
                                                   ZstdState& state) noexcept {
  return zstd_read_sequence_table(
      mode, src, kZstdLiteralLengthEntries, kZstdLiteralLengthLogMax,
      {kZstdPredefined.literal_lengths, kZstdLiteralLengthLogPredefined}, memory.literal_lengths,
      state.literal_lengths);
}

PLEAT_INLINE std::size_t zstd_read_offsets(ZstdMode mode, std::span<const std::byte> src,
                                           ZstdTableMemory& memory, ZstdState& state) noexcept {
  return zstd_read_sequence_table(mode, src, kZstdOffsetEntries, kZstdOffsetLogMax,
                                  {kZstdPredefined.offsets, kZstdOffsetLogPredefined},
                                  memory.offsets, state.offsets);
}

PLEAT_INLINE std::size_t zstd_read_match_lengths(ZstdMode mode, std::span<const std::byte> src,
                                                 ZstdTableMemory& memory,
                                                 ZstdState& state) noexcept {
  return zstd_read_sequence_table(mode, src, kZstdMatchLengthEntries, kZstdMatchLengthLogMax,
                                  {kZstdPredefined.match_lengths, kZstdMatchLengthLogPredefined},
                                  memory.match_lengths, state.match_lengths);
}

// Reads a block's three tables; as above.
PLEAT_INLINE std::size_t zstd_read_sequence_tables(ZstdDecoder& decoder, unsigned modes,
                                                   std::span<const std::byte> src) noexcept {
  const auto mode = [modes](unsigned shift) { return static_cast<ZstdMode>(modes >> shift & 3); };
  const std::size_t first = zstd_read_literal_lengths(mode(6), src, decoder.memory, decoder.state);
  if (first == SIZE_MAX) return SIZE_MAX;
  src = src.subspan(first);
  const std::size_t second = zstd_read_offsets(mode(4), src, decoder.memory, decoder.state);
  if (second == SIZE_MAX) return SIZE_MAX;
  src = src.subspan(second);
  const std::size_t third = zstd_read_match_lengths(mode(2), src, decoder.memory, decoder.state);
  return third == SIZE_MAX ? SIZE_MAX : first + second + third;
}

// A dictionary's tables (RFC 8878, 5): in another order, and a Huffman code with them. Returns the
// bytes that they take; 0 where they are none.
PLEAT_INLINE std::size_t zstd_read_dictionary_tables(std::span<const std::byte> src,
                                                     ZstdTableMemory& memory,
                                                     ZstdState& state) noexcept {
  const std::size_t size = src.size();
  const std::size_t tree = zstd_read_huffman(src, memory.huffman, state.huffman);
  if (tree == 0) return 0;
  src = src.subspan(tree);
  std::size_t bytes = zstd_read_offsets(ZstdMode::kOwn, src, memory, state);
  if (bytes == SIZE_MAX) return 0;
  src = src.subspan(bytes);
  bytes = zstd_read_match_lengths(ZstdMode::kOwn, src, memory, state);
  if (bytes == SIZE_MAX) return 0;
  src = src.subspan(bytes);
  bytes = zstd_read_literal_lengths(ZstdMode::kOwn, src, memory, state);
  return bytes == SIZE_MAX ? 0 : size - (src.size() - bytes);
}

// Copies a match that begins in the dictionary. Exact.
PLEAT_INLINE void zstd_copy_from_dictionary(const ZstdOutput& output, std::byte* out,
                                            std::size_t offset, std::size_t length) noexcept {
  std::size_t before = offset - static_cast<std::size_t>(out - output.begin);
  const std::byte* from = output.dictionary.data() + output.dictionary.size() - before;
  for (; length > 0 && before > 0; --length, --before) *out++ = *from++;
  from = output.begin;
  for (; length > 0; --length) *out++ = *from++;
}

// Appends a block's last literals. True if there is room for them.
PLEAT_INLINE bool zstd_put_literals(std::span<const std::byte> literals,
                                    ZstdOutput& output) noexcept {
  if (literals.size() > static_cast<std::size_t>(output.end - output.at)) return false;
  if (!literals.empty()) std::memcpy(output.at, literals.data(), literals.size());
  output.at += literals.size();
  return true;
}

// The states and the last offsets, while sequences are read.
struct ZstdCursor {
  std::size_t literal_state;
  std::size_t match_state;
  std::size_t offset_state;
  std::uint32_t repeats[3];
};

struct ZstdSequence {
  std::size_t literal_count;
  std::size_t length;
  std::uint32_t offset;  // 0, or more than there is, where the stream is damaged
};

// Where a sequence stands: `kInside` has kZstdInsideBits before it, and the last one's states lead
// nowhere.
enum class ZstdPlace { kInside, kAnywhere, kLast };
constexpr std::ptrdiff_t kZstdInsideBits = 56;

// Reads one sequence. False where the stream ends before that.
template <ZstdPlace kPlace>
PLEAT_INLINE bool zstd_read_sequence(const ZstdState& state, ZstdStream& stream, ZstdCursor& cursor,
                                     ZstdSequence& sequence) noexcept {
  if (kPlace != ZstdPlace::kInside && stream.left < 0) return false;
  const ZstdSequenceEntry l = state.literal_lengths.entries[cursor.literal_state];
  const ZstdSequenceEntry m = state.match_lengths.entries[cursor.match_state];
  const ZstdSequenceEntry o = state.offsets.entries[cursor.offset_state];
  const auto sums = static_cast<unsigned>(l + m + o);
  const unsigned extra_bits = sums >> 8 & 255;
  const unsigned next_bits = kPlace == ZstdPlace::kLast ? 0 : sums & 255;
  const auto extra_of = [](std::uint64_t entry) { return static_cast<unsigned>(entry >> 8 & 255); };
  const auto next_bits_of = [](std::uint64_t entry) { return static_cast<unsigned>(entry & 255); };
  const auto next_of = [](std::uint64_t entry) { return entry >> 48; };
  const auto base_of = [](std::uint64_t entry) { return entry >> 16 & 0xffffffff; };
  std::uint64_t word;
  std::uint64_t offset_extra;
  std::uint64_t match_extra = 0;
  std::uint64_t literal_extra = 0;
  if (extra_bits + next_bits <= kZstdInsideBits) [[likely]] {
    // From the last bit that is read to the first.
    word = zstd_top(kPlace == ZstdPlace::kInside ? zstd_peek_inside(stream) : zstd_peek(stream),
                    extra_bits + next_bits);
    stream.left -= extra_bits + next_bits;
    offset_extra = word >> next_bits;
    // Only lengths that are copied in more than one piece have further bits.
    if (((l | m) & 0xff00) != 0) [[unlikely]] {
      literal_extra = zstd_low(offset_extra, extra_of(l));
      offset_extra >>= extra_of(l);
      match_extra = zstd_low(offset_extra, extra_of(m));
      offset_extra >>= extra_of(m);
    }
  } else {
    offset_extra = zstd_read(stream, extra_of(o));
    match_extra = zstd_read(stream, extra_of(m));
    literal_extra = zstd_read(stream, extra_of(l));
    word = zstd_read(stream, next_bits);
  }
  if (kPlace != ZstdPlace::kLast) {
    cursor.offset_state = next_of(o) + zstd_low(word, next_bits_of(o));
    word >>= next_bits_of(o);
    cursor.match_state = next_of(m) + zstd_low(word, next_bits_of(m));
    word >>= next_bits_of(m);
    cursor.literal_state = next_of(l) + zstd_low(word, next_bits_of(l));
  }
  sequence.literal_count = base_of(l) + literal_extra;
  sequence.length = base_of(m) + match_extra;

  // Values up to 3 are one of the last offsets: one further, without literals before. Which it is
  // nobody can foresee, so that masks choose, of which no compiler makes branches.
  const std::uint64_t value = base_of(o) + offset_extra;
  const auto which = static_cast<std::int64_t>(value - 1 + (sequence.literal_count == 0));
  const auto below = [which](std::int64_t limit) {
    return static_cast<std::uint32_t>((which - limit) >> 63);
  };
  const auto [first, second, third] = cursor.repeats;
  const std::uint32_t if_first = (first ^ second) & below(1);
  const std::uint32_t if_second = (second ^ third) & below(2);
  auto offset = static_cast<std::uint32_t>(value - 3);
  if (value == 3) [[unlikely]]
    offset = first - 1;
  offset ^= (offset ^ third ^ if_second ^ if_first) & below(3);
  cursor.repeats[2] = second ^ if_second;
  cursor.repeats[1] = first ^ if_first;
  cursor.repeats[0] = offset;
  sequence.offset = offset;
  return true;
}

// Copies a match of `length` bytes, and up to kZstdLiteralSlack behind it.
PLEAT_INLINE void zstd_copy_match(std::byte* out, std::size_t offset, std::size_t length) noexcept {
  constexpr std::size_t kFirst = 32;  // most are not longer
  if (offset < 8) [[unlikely]] {
    copy_match_wide(out, offset, length);
    return;
  }
  for (std::size_t at = 0; at < kFirst; at += 8) put(out + at, load_u64(out + at - offset));
  if (length > kFirst) copy_match_wide(out + kFirst, offset, length - kFirst);
}

// Copies the literals and the match of one sequence. False where they do not fit, or lead nowhere.
PLEAT_INLINE bool zstd_run_sequence(const ZstdSequence& sequence, const std::byte*& literal,
                                    const std::byte* literal_end, const ZstdOutput& output,
                                    std::byte*& out) noexcept {
  const std::size_t literal_count = sequence.literal_count;
  const std::size_t length = sequence.length;
  const std::size_t offset = sequence.offset;
  const auto room = static_cast<std::size_t>(output.end - out);
  if (literal_count > static_cast<std::size_t>(literal_end - literal)) return false;
  const bool is_wide = literal_count + length + kZstdLiteralSlack <= room;
  if (is_wide) [[likely]] {
    std::memcpy(out, literal, 16);
    for (std::size_t at = 16; at < literal_count; at += 16) std::memcpy(out + at, literal + at, 16);
  } else {
    if (literal_count + length > room) return false;
    std::memcpy(out, literal, literal_count);
  }
  literal += literal_count;
  out += literal_count;
  const auto produced = static_cast<std::size_t>(out - output.begin);
  if (offset - 1 >= produced) [[unlikely]] {
    if (offset == 0 || offset > produced + output.dictionary.size()) return false;
    zstd_copy_from_dictionary(output, out, offset, length);
  } else if (is_wide) [[likely]] {
    zstd_copy_match(out, offset, length);
  } else {
    copy_match_exact(out, offset, length);
  }
  out += length;
  return true;
}

// Carries out `count` sequences and what literals are left, or as many as are enough. True if the
// streams are exactly these; output.at is behind them then.
PLEAT_INLINE bool zstd_run_sequences(ZstdDecoder& decoder, ZstdStream stream, std::size_t count,
                                     std::span<const std::byte> literals,
                                     ZstdOutput& output) noexcept {
  const ZstdState state = decoder.state;
  const ZstdOutput room = output;
  ZstdCursor cursor;
  cursor.literal_state = zstd_read(stream, state.literal_lengths.log);
  cursor.offset_state = zstd_read(stream, state.offsets.log);
  cursor.match_state = zstd_read(stream, state.match_lengths.log);
  for (std::size_t i = 0; i < 3; ++i) cursor.repeats[i] = state.repeats[i];
  const std::byte* literal = literals.data();
  const std::byte* const literal_end = literal + literals.size();
  std::byte* out = output.at;
  ZstdSequence sequence;
  const std::byte* const enough = room.enough != nullptr ? room.enough : room.end;
  for (; count > 1 && stream.left >= kZstdInsideBits && out < enough; --count) {
    if (!zstd_read_sequence<ZstdPlace::kInside>(state, stream, cursor, sequence) ||
        !zstd_run_sequence(sequence, literal, literal_end, room, out)) {
      return false;
    }
  }
  for (; count > 1 && out < enough; --count) {
    if (!zstd_read_sequence<ZstdPlace::kAnywhere>(state, stream, cursor, sequence) ||
        !zstd_run_sequence(sequence, literal, literal_end, room, out)) {
      return false;
    }
  }
  if (out >= enough && enough < room.end) {
    output.at = out;
    return stream.left >= 0;
  }
  // Each is of 3 bytes at least: behind the last one there is no room for another.
  if (count > 1) return false;
  if (!zstd_read_sequence<ZstdPlace::kLast>(state, stream, cursor, sequence) || stream.left != 0 ||
      !zstd_run_sequence(sequence, literal, literal_end, room, out)) {
    return false;
  }
  decoder.state.repeats = {cursor.repeats[0], cursor.repeats[1], cursor.repeats[2]};
  output.at = out;
  return zstd_put_literals({literal, static_cast<std::size_t>(literal_end - literal)}, output);
}
