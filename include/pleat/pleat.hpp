// SPDX-License-Identifier: MIT OR Apache-2.0
// libpleat for C++17 and later: ownership and spans of bytes over pleat.h, nothing else. Read
// pleat.h for what the calls promise.
#ifndef PLEAT_PLEAT_HPP
#define PLEAT_PLEAT_HPP

#include <pleat/pleat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

namespace pleat {

// A codec that closes itself. One thread at a time; nothing is allocated after construction.
class Codec {
 public:
  // Throws std::system_error with EINVAL, ENOMEM or ENOTSUP; see pleat_codec_open().
  explicit Codec(const std::string& spec) {
    pleat_codec* codec = nullptr;
    const int result = pleat_codec_open(spec.c_str(), &codec);
    if (result != 0) {
      throw std::system_error(-result, std::generic_category(), "pleat codec '" + spec + "'");
    }
    codec_.reset(codec);
  }

  // The largest compressed size of any page.
  std::size_t bound() const noexcept { return pleat_codec_bound(codec_.get()); }

  // Compresses PLEAT_PAGE_SIZE bytes at `page` to at most `capacity` bytes at `dst`. The compressed
  // size, or nothing where it does not fit: store the page as it is then.
  std::optional<std::size_t> compress(const void* page, void* dst, std::size_t capacity) noexcept {
    const ssize_t size = pleat_compress_page(codec_.get(), page, dst, capacity);
    if (size <= 0) return std::nullopt;
    return static_cast<std::size_t>(size);
  }

  // Decompresses exactly one page to `page`. False if `src` is not one; the page is unspecified
  // then.
  [[nodiscard]] bool decompress(const void* src, std::size_t size, void* page) noexcept {
    return pleat_decompress_page(codec_.get(), src, size, page) == 0;
  }

  // For the batch calls of pleat.h. Still owned by this object.
  pleat_codec* get() noexcept { return codec_.get(); }

 private:
  struct Close {
    void operator()(pleat_codec* codec) const noexcept { pleat_codec_close(codec); }
  };
  std::unique_ptr<pleat_codec, Close> codec_;
};

// The word that all of the page consists of, or nothing.
inline std::optional<std::uint64_t> same_filled(const void* page) noexcept {
  std::uint64_t pattern = 0;
  if (pleat_page_same_filled(page, &pattern) != 1) return std::nullopt;
  return pattern;
}

}  // namespace pleat

#endif  // PLEAT_PLEAT_HPP
