// SPDX-License-Identifier: MIT OR Apache-2.0
// Random operations on a block device, each compared with a model of what it should hold. The
// sequence follows from the seed alone, so that two devices can be given the same one.
//
//   block_checker DEVICE [--seed N] [--operations N] [--kind mixed|same|random|compressible]
//                 [--frees yes|no] [--grain BYTES]
//
// Writes, reads, discards and write-zeroes of 1 to 16 pages at random places; with a grain of 512
// also of parts of pages, where the device's blocks are that small. The device must read as zeros
// at the start. Exit status: 0 everything read was right, 1 it was not or an operation failed.

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "guest/page_pattern.h"

namespace pleat::guest {
namespace {

struct Options {
  std::string device;
  std::uint64_t seed = 1;
  unsigned operations = 1000;
  std::string kind = "mixed";
  bool frees = true;
  std::size_t grain = kPatternPageBytes;
};

constexpr std::size_t kPagesMax = 16;

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<unsigned char, FreeMemory>;

Buffer page_aligned(std::size_t bytes) {
  return Buffer(static_cast<unsigned char*>(std::aligned_alloc(kPatternPageBytes, bytes)));
}

class Checker {
 public:
  explicit Checker(const Options& options)
      : options_(options),
        random_(options.seed),
        buffer_(page_aligned(kPagesMax * kPatternPageBytes)) {}
  ~Checker() {
    if (fd_ >= 0) close(fd_);
  }

  bool run() {
    fd_ = open(options_.device.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    std::uint64_t bytes = 0;
    if (fd_ < 0 || ioctl(fd_, BLKGETSIZE64, &bytes) != 0) return failed("open", 0, 0);
    model_.assign(bytes, 0);
    for (std::size_t offset = 0; offset < bytes; offset += kPagesMax * kPatternPageBytes) {
      const std::size_t length =
          std::min<std::size_t>(kPagesMax * kPatternPageBytes, bytes - offset);
      if (pread(fd_, buffer_.get(), length, static_cast<off_t>(offset)) !=
          static_cast<ssize_t>(length)) {
        return failed("read", offset, length);
      }
      std::memcpy(model_.data() + offset, buffer_.get(), length);
    }
    for (unsigned operation = 0; operation < options_.operations; ++operation) {
      if (!step(operation)) return false;
    }
    for (std::size_t offset = 0; offset < model_.size(); offset += kPagesMax * kPatternPageBytes) {
      if (!read(offset, std::min(kPagesMax * kPatternPageBytes, model_.size() - offset))) {
        return false;
      }
    }
    std::printf("block_checker: %u operations on %s, all right\n", options_.operations,
                options_.device.c_str());
    return true;
  }

 private:
  bool step(unsigned operation) {
    const std::size_t count = 1 + random_.below(kPagesMax);
    std::size_t offset =
        random_.below(model_.size() / kPatternPageBytes - count + 1) * kPatternPageBytes;
    std::size_t length = count * kPatternPageBytes;
    const std::uint64_t choice = random_.below(options_.frees ? 8 : 6);
    if (choice == 6) return discard(offset, length);
    if (options_.grain < kPatternPageBytes) {
      const std::size_t grains = length / options_.grain;
      const std::size_t first = random_.below(grains);
      offset += first * options_.grain;
      length = (1 + random_.below(grains - first)) * options_.grain;
    }
    if (choice == 7) return zero(offset, length);
    return choice < 4 ? write(operation, offset, length) : read(offset, length);
  }

  PageKind kind(std::uint64_t page, unsigned operation) const {
    if (options_.kind == "same") return PageKind::kSameFilled;
    if (options_.kind == "random") return PageKind::kIncompressible;
    if (options_.kind == "compressible") return PageKind::kCompressible;
    return page_kind(options_.seed, page, operation);
  }

  bool write(unsigned operation, std::size_t offset, std::size_t length) {
    PatternPage page;
    for (std::size_t done = 0; done < length; done += kPatternPageBytes) {
      const std::uint64_t index = (offset + done) / kPatternPageBytes;
      fill_page(kind(index, operation), options_.seed, index, operation, page);
      std::memcpy(buffer_.get() + done, page.data(), std::min(kPatternPageBytes, length - done));
    }
    if (pwrite(fd_, buffer_.get(), length, static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(length)) {
      return failed("write", offset, length);
    }
    std::memcpy(model_.data() + offset, buffer_.get(), length);
    return true;
  }

  bool read(std::size_t offset, std::size_t length) {
    if (pread(fd_, buffer_.get(), length, static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(length)) {
      return failed("read", offset, length);
    }
    for (std::size_t byte = 0; byte < length; ++byte) {
      if (buffer_.get()[byte] == model_[offset + byte]) continue;
      std::printf("block_checker: byte %zu is %02x, not %02x (read of %zu bytes at %zu)\n",
                  offset + byte, buffer_.get()[byte], model_[offset + byte], length, offset);
      return false;
    }
    return true;
  }

  bool discard(std::size_t offset, std::size_t length) {
    return range(BLKDISCARD, "discard", offset, length);
  }
  bool zero(std::size_t offset, std::size_t length) {
    return range(BLKZEROOUT, "write-zeroes", offset, length);
  }
  bool range(unsigned long request, const char* what, std::size_t offset, std::size_t length) {
    std::uint64_t bounds[2] = {offset, length};
    if (ioctl(fd_, request, bounds) != 0) return failed(what, offset, length);
    std::fill_n(model_.begin() + static_cast<std::ptrdiff_t>(offset), length, 0);
    return true;
  }

  bool failed(const char* what, std::size_t offset, std::size_t length) const {
    std::printf("block_checker: %s of %zu bytes at %zu on %s: %s\n", what, length, offset,
                options_.device.c_str(), std::strerror(errno));
    return false;
  }

  Options options_;
  PatternRandom random_;
  Buffer buffer_;
  std::vector<unsigned char> model_;
  int fd_ = -1;
};

}  // namespace
}  // namespace pleat::guest

int main(int argc, char** argv) {
  pleat::guest::Options options;
  if (argc < 2 || argc % 2 != 0) {
    std::fprintf(stderr, "usage: block_checker DEVICE [--OPTION VALUE]...\n");
    return 1;
  }
  options.device = argv[1];
  for (int index = 2; index < argc; index += 2) {
    const std::string key = argv[index];
    const std::string value = argv[index + 1];
    if (key == "--seed") {
      options.seed = std::stoull(value);
    } else if (key == "--operations") {
      options.operations = static_cast<unsigned>(std::stoul(value));
    } else if (key == "--kind") {
      options.kind = value;
    } else if (key == "--frees") {
      options.frees = value == "yes";
    } else if (key == "--grain") {
      options.grain = std::stoul(value);
    } else {
      std::fprintf(stderr, "block_checker: unknown option %s\n", key.c_str());
      return 1;
    }
  }
  return pleat::guest::Checker(options).run() ? 0 : 1;
}
