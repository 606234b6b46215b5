// SPDX-License-Identifier: MIT OR Apache-2.0
// Dictionaries whose tables pages are written by: the one that is built in, and those in files.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "codec/zstd/canned.h"
#include "codec/zstd/frame.h"

namespace pleat::codec {

// A dictionary's tables, to read and to write by. Does not move.
class ZstdCannedDictionary {
 public:
  ZstdCannedDictionary() = default;
  // `bytes`, which have to live as long as this, are a sound dictionary of the format, whose tables
  // have all symbols that a page may have and are no larger than zstd's encoder writes by, and
  // whose last offsets are a frame's. False for others.
  bool read(std::span<const std::byte> bytes) noexcept;

  // Blocks of CodecId::kZstdCanned are written by this one. Nothing is allocated, and every call
  // returns the same.
  static const ZstdCannedDictionary& built_in() noexcept;

  const ZstdDictionary& dictionary() const noexcept { return dictionary_; }
  const ZstdCannedTables& tables() const noexcept { return tables_; }

 private:
  ZstdDictionary dictionary_;
  ZstdCannedTables tables_;
};

// The bytes of the built-in one, a dictionary for any decoder of zstd frames.
std::span<const std::byte> built_in_zstd_dictionary() noexcept;

// A dictionary that was in a file.
struct ZstdDictionaryFile {
  std::vector<std::byte> bytes;
  ZstdCannedDictionary canned;

  // ENOENT and other errors of open, EINVAL where it is no dictionary that pages can be written by.
  static Result<std::unique_ptr<const ZstdDictionaryFile>> open(const std::string& path);
};

}  // namespace pleat::codec
