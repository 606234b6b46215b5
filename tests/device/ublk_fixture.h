// SPDX-License-Identifier: MIT OR Apache-2.0
// What the tests on the real driver share: a device over a store of its own, direct I/O, and what
// the kernel shows of ublk devices.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/page.h"
#include "base/unique_fd.h"
#include "device/own_threads.h"
#include "device/transport.h"
#include "store/store.h"

namespace pleat::device {

inline constexpr std::uint64_t kDeviceBytes = 16u << 20;

inline std::unique_ptr<store::Store> make_store(unsigned sessions_max = 8) {
  auto kernels = codec::select_kernels();
  EXPECT_TRUE(kernels) << kernels.error().message;
  store::StoreOptions options;
  options.device_bytes = kDeviceBytes;
  options.kernels = *kernels;
  options.sessions_max = sessions_max;
  options.reserve_bytes = 2u << 20;
  auto store = store::Store::create(options);
  EXPECT_TRUE(store) << store.error().message;
  return *std::move(store);
}

// A device that must start.
struct Device {
  explicit Device(TransportOptions options = {}, unsigned sessions_max = 8)
      : store(make_store(sessions_max)) {
    options.name = "test";
    auto started = start_ublk(*store, options);
    EXPECT_TRUE(started) << started.error().message;
    if (started) transport = *std::move(started);
  }
  const std::string& path() const { return transport->info().path; }
  int id() const { return transport->info().id; }

  std::unique_ptr<store::Store> store;
  std::unique_ptr<Transport> transport;
};

inline bool is_readable(int fd, int timeout_ms) {
  pollfd poll_fd{fd, POLLIN, 0};
  return poll(&poll_fd, 1, timeout_ms) == 1;
}

inline UniqueFd open_direct(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  EXPECT_TRUE(fd) << path << ": " << std::strerror(errno);
  return fd;
}

// Memory for direct I/O.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes)
      : bytes_(bytes),
        data_(static_cast<unsigned char*>(
            mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { munmap(data_, bytes_); }
  unsigned char* data() { return data_; }
  std::size_t size() const { return bytes_; }

 private:
  std::size_t bytes_;
  unsigned char* data_;
};

// Half zeros, half bytes that follow from `seed`: compressible, and different for each seed.
inline void fill(unsigned char* bytes, std::size_t count, std::uint32_t seed) {
  std::uint32_t state = seed * 2654435761u + 1;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    bytes[i] = (i / 64) % 2 == 0 ? static_cast<unsigned char>(state >> 24) : 0;
  }
}

// Every trace of ublk devices in /dev and /sys, sorted. The control device is not one.
inline std::vector<std::string> ublk_traces() {
  std::vector<std::string> traces;
  for (const char* folder : {"/dev", "/sys/class/ublk-char", "/sys/block"}) {
    if (!std::filesystem::exists(folder)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename();
      if (name.starts_with("ublkb") || name.starts_with("ublkc")) traces.push_back(entry.path());
    }
  }
  std::sort(traces.begin(), traces.end());
  return traces;
}

// The folders in /proc of this process's queue threads.
inline std::vector<std::filesystem::path> queue_threads() {
  return own_threads([](const std::string& name) {
    return name.starts_with("ublk") && name.find("-q") != std::string::npos;
  });
}
inline bool queue_threads_end() { return threads_end(queue_threads); }

inline std::string sysfs(const std::string& path) {
  std::ifstream file("/sys/" + path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace pleat::device
