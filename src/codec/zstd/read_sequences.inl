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

// Takes the table of one kind of code into force, and returns the bytes that its description takes;
// SIZE_MAX where that is none. A predefined one comes ready.
[[gnu::noinline]] inline std::size_t zstd_read_sequence_table(
    ZstdMode mode, std::span<const std::byte> src, std::span<const ZstdSequenceEntry> codes,
    unsigned log_max, const ZstdTable<ZstdSequenceEntry>& predefined, ZstdSequenceEntry* memory,
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

struct ZstdSequence {
  std::size_t literal_count;
  std::size_t length;
  std::size_t offset;  // 0, or more than there is, where the stream is damaged
};

// Sequences while they are carried out: where the states, the streams and the output are.
struct ZstdRun {
  const ZstdSequenceEntry* literal_length;
  const ZstdSequenceEntry* match_length;
  const ZstdSequenceEntry* offset;
  ZstdRepeats repeats;
  ZstdStream stream;
  std::size_t count;      // of sequences that are not read yet
  ZstdSequence sequence;  // the last one that was read
  const std::byte* literal;
  const std::byte* literal_end;
  std::byte* out;
};

// An entry's bits, and its next state's in the higher byte, so that a sum of entries has both sums.
PLEAT_INLINE unsigned zstd_bits(const ZstdSequenceEntry* entry) noexcept { return load_u16(entry); }
PLEAT_INLINE unsigned zstd_extra_bits(const ZstdSequenceEntry* entry) noexcept {
  return static_cast<unsigned>(entry->bits - entry->next_bits);
}

// Copies a match of `length` bytes, and up to kZstdLiteralSlack behind it.
PLEAT_INLINE void zstd_copy_match(std::byte* out, std::size_t offset, std::size_t length) noexcept {
  if (offset < 8) [[unlikely]] {
    copy_match_wide(out, offset, length);
    return;
  }
  // Most are not longer than 16, and few longer than 32.
  const std::byte* const match = out - offset;
  for (std::size_t at = 0; at < 16; at += 8) put(out + at, load_u64(match + at));
  if (length <= 16) return;
  for (std::size_t at = 16; at < 32; at += 8) put(out + at, load_u64(match + at));
  if (length > 32) copy_match_wide(out + 32, offset, length - 32);
}

// The bits of most sequences are fewer.
constexpr unsigned kZstdPlainBits = 56;

// Carries out sequences up to one that is in any way not like most. True where that was read and is
// still to be carried out: it ends more than `limit` behind `begin`, where kZstdLiteralSlack is
// left to the output's end, or is not sound. Its own function, for the sake of registers.
[[gnu::noinline]] inline bool zstd_run_plain(const ZstdState& state, std::byte* begin,
                                             std::size_t limit, ZstdRun& run) noexcept {
  const ZstdSequenceEntry* l = run.literal_length;
  const ZstdSequenceEntry* m = run.match_length;
  const ZstdSequenceEntry* o = run.offset;
  ZstdRepeats repeats = run.repeats;
  ZstdStream stream = run.stream;
  const std::byte* literal = run.literal;
  const std::byte* const literal_end = run.literal_end;
  std::byte* out = run.out;
  const std::byte* const limit_end = begin + limit;
  std::size_t count = run.count;
  bool is_read = false;
  // A word is read whose lowest bits may lie before the stream.
  const std::ptrdiff_t left_min =
      stream.begin - stream.floor < 8 ? std::ptrdiff_t{kZstdPlainBits} : 0;
  if (stream.left < left_min) return false;
  while (count > 1) {
    const unsigned lengths = zstd_bits(l) + zstd_bits(m);
    const unsigned sums = zstd_bits(o) + zstd_bits(m) + zstd_bits(l);
    const unsigned bits = sums & 255;
    if (bits > kZstdPlainBits) [[unlikely]]
      break;
    // From the last bit that is read to the first.
    std::uint64_t word = zstd_peek_inside(stream) >> 1 >> (~sums & 63);
    stream.left -= bits;
    if (stream.left < left_min) [[unlikely]] {
      stream.left += bits;
      break;
    }
    std::uint64_t extra = word >> (sums >> 8 & 63);
    std::size_t literal_count = l->base;
    std::size_t length = m->base;
    if ((lengths & 255) != lengths >> 8) [[unlikely]] {
      literal_count += zstd_low(extra, zstd_extra_bits(l));
      extra >>= zstd_extra_bits(l);
      length += zstd_low(extra, zstd_extra_bits(m));
      extra >>= zstd_extra_bits(m);
    }
    const std::uint64_t value = o->base + extra;
    const unsigned offset_bits = o->next_bits;
    o = state.offsets.entries + o->next + zstd_low(word, offset_bits);
    word >>= offset_bits;
    const unsigned match_bits = m->next_bits;
    m = state.match_lengths.entries + m->next + zstd_low(word, match_bits);
    word >>= match_bits;
    l = state.literal_lengths.entries + l->next + zstd_low(word, l->next_bits);
    const std::size_t offset = repeats.take(value, literal_count != 0);
    --count;

    const auto match_at = static_cast<std::size_t>(out - begin) + literal_count;
    if (static_cast<std::ptrdiff_t>(literal_count + length) > limit_end - out ||
        literal_count > static_cast<std::size_t>(literal_end - literal) || offset - 1 >= match_at)
        [[unlikely]] {
      run.sequence = {literal_count, length, offset};
      is_read = true;
      break;
    }
    std::memcpy(out, literal, 32);
    for (std::size_t i = 32; i < literal_count; i += 16) std::memcpy(out + i, literal + i, 16);
    literal += literal_count;
    out += literal_count;
    zstd_copy_match(out, offset, length);
    out += length;
  }
  run.literal_length = l;
  run.match_length = m;
  run.offset = o;
  run.repeats = repeats;
  run.stream = stream;
  run.count = count;
  run.literal = literal;
  run.out = out;
  return is_read;
}

// Reads one sequence, whatever it is. False where the stream ends before that.
[[gnu::noinline]] inline bool zstd_read_sequence(const ZstdState& state, ZstdRun& run) noexcept {
  ZstdStream& stream = run.stream;
  if (stream.left < 0) return false;
  const ZstdSequenceEntry* const l = run.literal_length;
  const ZstdSequenceEntry* const m = run.match_length;
  const ZstdSequenceEntry* const o = run.offset;
  const std::uint64_t value = o->base + std::uint64_t{zstd_read(stream, zstd_extra_bits(o))};
  run.sequence.length = m->base + std::size_t{zstd_read(stream, zstd_extra_bits(m))};
  run.sequence.literal_count = l->base + std::size_t{zstd_read(stream, zstd_extra_bits(l))};
  run.sequence.offset = run.repeats.take(value, run.sequence.literal_count != 0);
  // The last one's states lead nowhere.
  if (--run.count == 0) return true;
  run.literal_length = state.literal_lengths.entries + l->next + zstd_read(stream, l->next_bits);
  run.match_length = state.match_lengths.entries + m->next + zstd_read(stream, m->next_bits);
  run.offset = state.offsets.entries + o->next + zstd_read(stream, o->next_bits);
  return true;
}

// Copies the literals and the match of one sequence. False where they do not fit, or lead nowhere.
[[gnu::noinline]] inline bool zstd_run_sequence(const ZstdOutput& output, ZstdRun& run) noexcept {
  const auto [literal_count, length, offset] = run.sequence;
  const auto room = static_cast<std::size_t>(output.end - run.out);
  if (literal_count > static_cast<std::size_t>(run.literal_end - run.literal) ||
      literal_count + length > room) {
    return false;
  }
  if (literal_count > 0) std::memcpy(run.out, run.literal, literal_count);
  run.literal += literal_count;
  run.out += literal_count;
  const auto produced = static_cast<std::size_t>(run.out - output.begin);
  if (offset - 1 < produced) {
    copy_match_exact(run.out, offset, length);
  } else {
    if (offset == 0 || offset > produced + output.dictionary.size()) return false;
    zstd_copy_from_dictionary(output, run.out, offset, length);
  }
  run.out += length;
  return true;
}

// Carries out `count` sequences and what literals are left, or as many as are enough. True if the
// streams are exactly these; output.at is behind them then.
PLEAT_INLINE bool zstd_run_sequences(ZstdDecoder& decoder, ZstdStream stream, std::size_t count,
                                     std::span<const std::byte> literals,
                                     ZstdOutput& output) noexcept {
  const ZstdState& state = decoder.state;
  ZstdRun run;
  run.literal_length = state.literal_lengths.entries + zstd_read(stream, state.literal_lengths.log);
  run.offset = state.offsets.entries + zstd_read(stream, state.offsets.log);
  run.match_length = state.match_lengths.entries + zstd_read(stream, state.match_lengths.log);
  run.repeats = ZstdRepeats::from(state.repeats);
  run.stream = stream;
  run.count = count;
  run.literal = literals.data();
  run.literal_end = literals.data() + literals.size();
  run.out = output.at;
  const std::byte* const enough = output.enough != nullptr ? output.enough : output.end;
  const auto room = static_cast<std::size_t>(output.end - output.begin);
  const std::size_t limit = std::min(static_cast<std::size_t>(enough - output.begin),
                                     room < kZstdLiteralSlack ? 0 : room - kZstdLiteralSlack);
  // Each is of 3 bytes at least: behind the last one there is no room for another.
  while (run.count > 0 && run.out < enough) {
    const bool is_read = zstd_run_plain(state, output.begin, limit, run);
    if (!is_read && !zstd_read_sequence(state, run)) return false;
    if (!zstd_run_sequence(output, run)) return false;
  }
  output.at = run.out;
  if (run.count > 0 && run.out >= enough && enough < output.end) return run.stream.left >= 0;
  if (run.count > 0 || run.stream.left != 0) return false;
  decoder.state.repeats = run.repeats.offsets();
  return zstd_put_literals({run.literal, static_cast<std::size_t>(run.literal_end - run.literal)},
                           output);
}
