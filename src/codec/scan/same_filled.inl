// SPDX-License-Identifier: MIT OR Apache-2.0
// Finding and filling pages of one repeated 8-byte word, included by isa/*.cpp inside their target
// region after the tier's vector primitives.

bool same_filled(const std::byte* page, std::uint64_t* pattern) noexcept {
  const std::uint64_t word = load_u64(page);
  // Almost every page that is not same-filled differs in its first or its last words, which may
  // save the first whole step.
  if (word != load_u64(page + 8) || word != load_u64(page + kPageSize - 8)) return false;
  const Vec splat = vec_splat_u64(word);
  constexpr std::size_t kStep = sizeof(Vec) * 8;
  static_assert(kPageSize % kStep == 0);
  for (std::size_t at = 0; at < kPageSize; at += kStep) {
    Vec difference = vec_xor(vec_load(page + at), splat);
    for (std::size_t i = 1; i < 8; ++i) {
      difference = vec_or(difference, vec_xor(vec_load(page + at + i * sizeof(Vec)), splat));
    }
    if (!vec_is_zero(difference)) return false;
  }
  *pattern = word;
  return true;
}

void fill(std::byte* page, std::uint64_t pattern) noexcept {
  const Vec splat = vec_splat_u64(pattern);
  for (std::size_t at = 0; at < kPageSize; at += sizeof(Vec)) vec_store(page + at, splat);
}
