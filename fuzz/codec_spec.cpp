// SPDX-License-Identifier: MIT OR Apache-2.0
// Any text to the C API's open: a codec that works, or -EINVAL and null; nothing leaks.
#include <cerrno>
#include <string>
#include <string_view>

#include "fuzz_target.h"
#include "pleat/pleat.h"

namespace {

// "lz4hc", "lz4" and "zstd" with or without a level, "zstd" with canned tables, and "line" with or
// without a level, with or without its option.
bool names_a_codec(std::string_view spec) {
  for (const std::string_view plain :
       {"lz4hc", "lz4", "lz4:fast", "lz4:2", "lz4:3", "lz4:4", "zstd", "zstd:fast", "zstd:1",
        "zstd:3", "zstd:9", "zstd:19", "zstd,tables=canned", "zstd:1,tables=canned",
        "zstd,tables=mixed", "zstd:1,tables=mixed"}) {
    if (spec == plain) return true;
  }
  constexpr std::string_view kFallback = ",fallback=lz4";
  if (spec.ends_with(kFallback)) spec.remove_suffix(kFallback.size());
  if (spec.size() == 6 && spec[4] == ':' && spec[5] >= '1' && spec[5] <= '5') spec.remove_suffix(2);
  return spec == "line";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string spec(reinterpret_cast<const char*>(data), size);
  // A dictionary may be any file of the working directory, or none; devices are not for this
  // target.
  const bool has_dictionary = spec.find("dict=") != std::string::npos;
  if (has_dictionary && spec.find('/') != std::string::npos) return 0;
  pleat_codec* codec = nullptr;
  const int result = pleat_codec_open(spec.c_str(), &codec);
  fuzz_check((result == 0) == (codec != nullptr), "there is a codec exactly on success");
  if (has_dictionary) {
    pleat_codec_close(codec);
    return 0;
  }
  fuzz_check(result == 0 || result == -EINVAL, "open answers 0 or -EINVAL");
  fuzz_check((result == 0) == names_a_codec(spec.c_str()), "open takes the codecs that there are");
  if (codec != nullptr) {
    static unsigned char page[PLEAT_PAGE_SIZE];
    static unsigned char block[2 * PLEAT_PAGE_SIZE];
    const ssize_t block_size = pleat_compress_page(codec, page, block, sizeof(block));
    fuzz_check(block_size > 0, "the codec compresses");
    fuzz_check(pleat_decompress_page(codec, block, static_cast<std::size_t>(block_size), page) == 0,
               "the codec decompresses");
  }
  pleat_codec_close(codec);
  return 0;
}
