// SPDX-License-Identifier: MIT OR Apache-2.0
// For lines from the third on, the candidates that its words' hashes find. In the order in
// which word j of the line before is entered first and word j of the line is then looked up, an
// answer minus j words is always a whole line back, and never before the page.
template <unsigned kProbes>
PLEAT_INLINE void line_walk(std::size_t begin, std::size_t end, LineWorkspace& work) noexcept {
  for (std::size_t line = begin; line < end; ++line) {
    const std::size_t before = kLineWords * (line - 1);
    std::size_t candidate = 2;
#pragma GCC unroll 8
    for (std::size_t word = 0; word < kLineWords; ++word) {
      work.positions[work.hashes[line - 1][word]] = static_cast<std::uint16_t>(before + word);
      if ((kProbes >> word & 1) == 0) continue;
      const std::size_t found = work.positions[work.hashes[line][word]];
      work.near[candidate++][line] = static_cast<std::uint16_t>(before + word - found);
    }
  }
}
