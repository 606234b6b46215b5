// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/zstd/canned_dictionary.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"
#include "codec/isa/tables.h"

namespace pleat::codec {
namespace {

#include "codec/zstd/canned_bytes.inl"

// Dictionaries of tables alone are some hundred bytes; those that zstd(1) makes 110 KiB.
constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;

}  // namespace

bool ZstdCannedDictionary::read(std::span<const std::byte> bytes) noexcept {
  if (!dictionary_.read(bytes) || dictionary_.id() == 0) return false;
  // What is found in a page is told as in a frame without a dictionary.
  if (dictionary_.state().repeats != kZstdRepeatOffsets) return false;
  const std::span<const std::byte> tables = dictionary_.tables();
  return zstd_read_canned_scalar(tables.data(), tables.size(), tables_);
}

std::span<const std::byte> built_in_zstd_dictionary() noexcept {
  return std::as_bytes(std::span(kCannedBytes));
}

const ZstdCannedDictionary& ZstdCannedDictionary::built_in() noexcept {
  struct BuiltIn {
    ZstdCannedDictionary canned;
    BuiltIn() noexcept { (void)canned.read(built_in_zstd_dictionary()); }
  };
  static const BuiltIn built_in;
  return built_in.canned;
}

Result<std::unique_ptr<const ZstdDictionaryFile>> ZstdDictionaryFile::open(
    const std::string& path) {
  // Without waiting for whoever writes to what is no file.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return errno_error("cannot open the dictionary " + path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return errno_error("cannot stat the dictionary " + path);
  const Error useless{EINVAL, path + " is not a zstd dictionary that pages can be compressed by; " +
                                  "make one with pleat train"};
  const auto size = static_cast<std::size_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || size == 0 || size > kFileBytesMax) return useless;
  auto file = std::make_unique<ZstdDictionaryFile>();
  file->bytes.resize(size);
  const ssize_t bytes = ::read(fd.get(), file->bytes.data(), size);
  if (bytes < 0) return errno_error("cannot read the dictionary " + path);
  if (static_cast<std::size_t>(bytes) != size || !file->canned.read(file->bytes)) return useless;
  return std::unique_ptr<const ZstdDictionaryFile>(std::move(file));
}

}  // namespace pleat::codec
