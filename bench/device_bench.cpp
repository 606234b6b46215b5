// SPDX-License-Identifier: MIT OR Apache-2.0
// Block devices side by side: device_bench PAGES REPEATS NAME=DEVICE...
//
// Writes and reads the pages of a file with direct I/O, one request at a time: single pages in a
// shuffled order, then 128 KiB in sequence. The devices take turns, and the best of the repeats by
// the wall clock counts, since part of the work is another process's. What is read is compared,
// except from a device named null_blk, which keeps nothing. Every device's contents are lost.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "tool/page_set.h"
#include "tool/text_table.h"

namespace pleat {
namespace {

constexpr std::size_t kSequentialBytes = 128 << 10;
constexpr std::size_t kSequentialPages = kSequentialBytes / kPageSize;

enum class Phase { kRandomWrite, kRandomRead, kSequentialWrite, kSequentialRead, kDiscard };
constexpr std::array<const char*, 5> kPhaseNames = {"4 KiB random write", "4 KiB random read",
                                                    "128 KiB sequential write",
                                                    "128 KiB sequential read", "4 KiB discard"};

struct Device {
  std::string name;
  std::string path;
  UniqueFd fd;
  std::array<double, kPhaseNames.size()> best_us;  // a page
};

off_t offset_of(std::size_t page) { return static_cast<off_t>(page * kPageSize); }

bool request(const Device& device, Phase phase, std::size_t page, tool::PageSet& set,
             tool::PageBuffer& read) {
  const std::size_t bytes =
      phase == Phase::kRandomWrite || phase == Phase::kRandomRead ? kPageSize : kSequentialBytes;
  switch (phase) {
    case Phase::kRandomWrite:
    case Phase::kSequentialWrite:
      return ::pwrite(device.fd.get(), set.memory.page(page), bytes, offset_of(page)) ==
             static_cast<ssize_t>(bytes);
    case Phase::kRandomRead:
    case Phase::kSequentialRead:
      return ::pread(device.fd.get(), read.page(page), bytes, offset_of(page)) ==
             static_cast<ssize_t>(bytes);
    case Phase::kDiscard:
      break;
  }
  std::array<std::uint64_t, 2> range = {page * kPageSize, kPageSize};
  return ::ioctl(device.fd.get(), BLKDISCARD, range.data()) == 0;
}

// One pass over all pages; empty, or what went wrong.
std::string pass(Device& device, Phase phase, std::mt19937_64& random, tool::PageSet& set,
                 tool::PageBuffer& read) {
  const bool sequential = phase == Phase::kSequentialWrite || phase == Phase::kSequentialRead;
  const std::size_t step = sequential ? kSequentialPages : 1;
  std::vector<std::size_t> order(set.count / step);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i * step;
  if (!sequential) std::shuffle(order.begin(), order.end(), random);
  const bool reads = phase == Phase::kRandomRead || phase == Phase::kSequentialRead;
  if (reads) std::memset(read.data(), 0x5a, read.bytes());

  bool succeeded = true;
  const std::uint64_t begin = monotonic_ns();
  for (const std::size_t page : order) succeeded &= request(device, phase, page, set, read);
  const auto ns = static_cast<double>(monotonic_ns() - begin);

  const std::string what = device.name + ": " + kPhaseNames[static_cast<std::size_t>(phase)];
  if (!succeeded && phase == Phase::kDiscard) return {};  // a device need not have it
  if (!succeeded) return what + " failed";
  if (reads && device.name != "null_blk" &&
      std::memcmp(read.data(), set.memory.data(), set.count * kPageSize) != 0) {
    return what + " gives other bytes than were written";
  }
  double& best = device.best_us[static_cast<std::size_t>(phase)];
  best = std::min(best, ns / 1000 / static_cast<double>(set.count));
  return {};
}

std::string report(const std::vector<Device>& devices) {
  std::vector<std::vector<std::string>> rows = {
      {fmt::format("us a page (of {})", devices.back().name)}};
  for (const char* name : kPhaseNames) rows[0].emplace_back(name);
  for (const Device& device : devices) {
    std::vector<std::string> row = {device.name};
    for (std::size_t i = 0; i < kPhaseNames.size(); ++i) {
      const double us = device.best_us[i];
      const double base = devices.back().best_us[i];
      row.push_back(us == std::numeric_limits<double>::infinity()
                        ? ""
                        : fmt::format("{:.1f} ({:.2f})", us, us / base));
    }
    rows.push_back(std::move(row));
  }
  return tool::markdown_table(rows);
}

int run(int argc, char** argv) {
  unsigned repeats = 0;
  if (argc < 4 ||
      std::from_chars(argv[2], argv[2] + std::strlen(argv[2]), repeats).ec != std::errc{} ||
      repeats == 0) {
    std::fputs("usage: device_bench PAGES REPEATS NAME=DEVICE...\n", stderr);
    return 2;
  }
  Result<std::vector<tool::PageSet>> sets = tool::load_page_sets(argv[1], 2048, 1);
  if (!sets) {
    std::fprintf(stderr, "device_bench: %s\n", sets.error().message.c_str());
    return 1;
  }
  tool::PageSet& set = sets->front();
  set.count -= set.count % kSequentialPages;
  std::vector<Device> devices;
  for (int i = 3; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t equals = argument.find('=');
    Device device;
    device.name = argument.substr(0, equals);
    device.path = argument.substr(equals + 1);
    device.fd.reset(::open(device.path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
    if (!device.fd) {
      std::fprintf(stderr, "device_bench: cannot open %s\n", device.path.c_str());
      return 1;
    }
    device.best_us.fill(std::numeric_limits<double>::infinity());
    devices.push_back(std::move(device));
  }
  std::mt19937_64 random(1);
  tool::PageBuffer read(set.count * kPageSize);
  std::vector<std::size_t> turns(devices.size());
  std::iota(turns.begin(), turns.end(), std::size_t{0});
  for (unsigned repeat = 0; repeat < repeats; ++repeat) {
    for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase) {
      std::shuffle(turns.begin(), turns.end(), random);
      for (const std::size_t turn : turns) {
        const std::string wrong = pass(devices[turn], static_cast<Phase>(phase), random, set, read);
        if (wrong.empty()) continue;
        std::fprintf(stderr, "device_bench: %s\n", wrong.c_str());
        return 1;
      }
    }
  }
  std::printf("Pages: %s %zu; best of %u repeats by the wall clock\n\n%s", set.name.c_str(),
              set.count, repeats, report(devices).c_str());
  return 0;
}

}  // namespace
}  // namespace pleat

int main(int argc, char** argv) { return pleat::run(argc, argv); }
