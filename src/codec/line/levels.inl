// SPDX-License-Identifier: MIT OR Apache-2.0
// The levels of the line format: how many words of a line are looked up.
PLEAT_INLINE std::size_t line_compress(const std::byte* page, std::byte* dst, std::size_t capacity,
                                       unsigned level, LineWorkspace& work) noexcept {
  switch (level) {
    case 1:
      return line_compress_level<kLineProbes[1]>(page, dst, capacity, work);
    case 2:
      return line_compress_level<kLineProbes[2]>(page, dst, capacity, work);
    case 3:
      return line_compress_level<kLineProbes[3]>(page, dst, capacity, work);
    case 4:
      return line_compress_level<kLineProbes[4]>(page, dst, capacity, work);
    default:
      return line_compress_level<kLineProbes[5]>(page, dst, capacity, work);
  }
}
