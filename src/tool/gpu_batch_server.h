// SPDX-License-Identifier: MIT OR Apache-2.0
// Compresses pages on a GPU for a device's daemon: `pleat recompress --gpu`. So the GPU's driver is
// in this process, whose end costs the device nothing.
//
// Thread safety: one thread at a time. A thread of its own compresses.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "control/batch_exchange.h"
#include "gpu/gpu_library.h"

namespace pleat::tool {

struct GpuBatchOptions {
  std::uint32_t device = 0;
  // What one batch holds: the daemon takes no more at once.
  std::uint32_t pages = 1024;
};

class GpuBatchServer {
 public:
  // `codec`: "line" or "lz4". Errors: as Gpu::open().
  static Result<std::unique_ptr<GpuBatchServer>> start(const std::string& codec,
                                                       const GpuBatchOptions& options);
  ~GpuBatchServer();
  GpuBatchServer(const GpuBatchServer&) = delete;
  GpuBatchServer& operator=(const GpuBatchServer&) = delete;

  // What a request to the daemon has as "batches", and the descriptors that go with it.
  nlohmann::json request() const;
  std::array<int, 2> files() const { return {memory_.fd(), daemon_end_.get()}; }
  std::string gpu_name() const { return gpu_.info().name; }
  // Why a batch could not be compressed; empty where each could.
  std::string error() const;

 private:
  GpuBatchServer(std::string codec, gpu::Gpu gpu, control::BatchMemory memory, UniqueFd own_end,
                 UniqueFd daemon_end);
  void serve();
  int compress(std::uint32_t count);
  void note(std::string error);

  std::string codec_;
  gpu::Gpu gpu_;
  control::BatchMemory memory_;
  bool registered_;
  UniqueFd own_end_;
  UniqueFd daemon_end_;
  std::vector<std::uint32_t> offsets_;
  std::vector<std::uint32_t> sizes_;
  std::vector<std::uint8_t> kinds_;
  mutable std::mutex mutex_;
  std::string error_;   // under mutex_
  std::thread thread_;  // last, so that it starts with everything else in place
};

}  // namespace pleat::tool
