// SPDX-License-Identifier: MIT OR Apache-2.0
// What the tests on real loop devices share.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/page.h"
#include "base/process.h"
#include "base/task_stat.h"
#include "base/unique_fd.h"
#include "codec/kernels.h"
#include "device/own_threads.h"
#include "device/transport.h"
#include "store/store.h"

namespace pleat::device {

inline constexpr std::uint64_t kDeviceBytes = 16u << 20;

inline std::unique_ptr<store::Store> make_store(std::uint64_t device_bytes = kDeviceBytes,
                                                std::uint64_t mem_limit_bytes = 0) {
  store::StoreOptions options;
  options.device_bytes = device_bytes;
  options.mem_limit_bytes = mem_limit_bytes;
  options.kernels = codec::select_kernels().value();
  options.sessions_max = 4;
  // So much that a burst of writes does not outrun the background thread where the machine is busy
  // with other things: such a write fails, which is the store's to test.
  options.reserve_bytes = std::min<std::uint64_t>(device_bytes, 64u << 20);
  auto store = store::Store::create(options);
  EXPECT_TRUE(store.has_value()) << store.error().message;
  return std::move(store).value();
}

// Whether this machine lets the process mark its I/O threads. The mark is a thread's own, so this
// asks in one that ends.
inline bool may_mark_io_threads() {
  bool may = false;
  std::thread([&may] { may = set_io_flusher().has_value(); }).join();
  return may;
}

inline TransportOptions loop_options(const std::string& name = "looptest") {
  TransportOptions options;
  options.name = name;
  options.io_flusher = may_mark_io_threads();
  return options;
}

// A device that must start.
struct Device {
  explicit Device(const TransportOptions& options = loop_options(),
                  std::uint64_t mem_limit_bytes = 0)
      : store(make_store(kDeviceBytes, mem_limit_bytes)) {
    auto started = start_loop(*store, options);
    EXPECT_TRUE(started.has_value()) << started.error().message;
    transport = std::move(started).value();
  }
  const std::string& path() const { return transport->info().path; }

  std::unique_ptr<store::Store> store;
  std::unique_ptr<Transport> transport;
};

inline UniqueFd open_direct(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  EXPECT_TRUE(static_cast<bool>(fd)) << path << ": " << std::strerror(errno);
  return fd;
}

// Memory for direct I/O, at a page's start.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size)
      : size_(size),
        bytes_(static_cast<std::byte*>(
            mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~AlignedBytes() { munmap(bytes_, size_); }
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  std::byte* data() const { return bytes_; }
  std::byte& operator[](std::size_t i) const { return bytes_[i]; }

 private:
  std::size_t size_;
  std::byte* bytes_;
};

// The file that loop device `id` is attached to, or "".
inline std::string backing_file(int id) {
  std::ifstream file("/sys/block/loop" + std::to_string(id) + "/loop/backing_file");
  std::string line;
  std::getline(file, line);
  return line;
}

// How many loop devices belong to the Pleat device `name`.
inline int attached_loops(const std::string& name) {
  int count = 0;
  for (const auto& block : std::filesystem::directory_iterator("/sys/block")) {
    const std::string file = block.path().filename();
    if (file.starts_with("loop") && backing_file(std::stoi(file.substr(4))) == "/pleat-" + name) {
      ++count;
    }
  }
  return count;
}

// The folders in /proc of this process's serving threads.
inline std::vector<std::filesystem::path> serving_threads() {
  return own_threads([](const std::string& name) { return name.starts_with("pleat-loop/"); });
}
inline bool serving_threads_end() { return threads_end(serving_threads); }

inline std::size_t entries(const std::string& folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
  return count;
}

}  // namespace pleat::device
