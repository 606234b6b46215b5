// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/gpu_batch_server.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/page.h"

namespace pleat::tool {
namespace {

// Where blocks of the GPU begin, in bytes.
constexpr std::uint32_t kUnitBytes = 16;

}  // namespace

Result<std::unique_ptr<GpuBatchServer>> GpuBatchServer::start(const std::string& codec,
                                                              const GpuBatchOptions& options) {
  auto gpu = gpu::Gpu::open({.size = sizeof(pleat_gpu_options),
                             .codec = codec.c_str(),
                             .device = options.device,
                             .pages = options.pages,
                             .capacity = kPageSize});
  if (!gpu) return std::move(gpu).error();
  auto memory = control::BatchMemory::create(options.pages);
  if (!memory) return std::move(memory).error();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return errno_error("cannot make a socket for batches");
  }
  return std::unique_ptr<GpuBatchServer>(new GpuBatchServer(
      codec, *std::move(gpu), *std::move(memory), UniqueFd(ends[0]), UniqueFd(ends[1])));
}

GpuBatchServer::GpuBatchServer(std::string codec, gpu::Gpu gpu, control::BatchMemory memory,
                               UniqueFd own_end, UniqueFd daemon_end)
    : codec_(std::move(codec)),
      gpu_(std::move(gpu)),
      memory_(std::move(memory)),
      // Where that fails the copies are slower, and nothing else.
      registered_(gpu_.host_register(memory_.data(), memory_.bytes()) == 0),
      own_end_(std::move(own_end)),
      daemon_end_(std::move(daemon_end)),
      offsets_(memory_.pages()),
      sizes_(memory_.pages()),
      kinds_(memory_.pages()),
      thread_([this] { serve(); }) {}

GpuBatchServer::~GpuBatchServer() {
  shutdown(own_end_.get(), SHUT_RDWR);
  thread_.join();
  if (registered_) gpu_.host_unregister(memory_.data());
}

nlohmann::json GpuBatchServer::request() const {
  return {{"codec", codec_}, {"pages", memory_.pages()}};
}

std::string GpuBatchServer::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

void GpuBatchServer::note(std::string error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

void GpuBatchServer::serve() {
  const auto served = control::serve_batches(
      own_end_.get(), memory_.pages(), [this](std::uint32_t count) { return compress(count); });
  if (!served) note(served.error().message);
}

int GpuBatchServer::compress(std::uint32_t count) {
  const pleat_gpu_blocks blocks{.blocks = memory_.blocks(),
                                .bytes = std::size_t{memory_.pages()} * kPageSize,
                                .offsets = offsets_.data(),
                                .sizes = sizes_.data(),
                                .kinds = kinds_.data()};
  if (const int code = gpu_.compress_host(count, memory_.page(0), blocks); code != 0) {
    note(gpu_.error());
    return -code;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    memory_.offsets()[i] = offsets_[i] * kUnitBytes;
    // A page that consists of one word was not stored as a block to begin with.
    memory_.sizes()[i] = kinds_[i] == PLEAT_GPU_BLOCK ? sizes_[i] : 0;
  }
  return 0;
}

}  // namespace pleat::tool
