// SPDX-License-Identifier: MIT OR Apache-2.0
// A mounted file system with one file, `vram`, whose bytes are in a GPU's memory: a target of
// writeback like any other file (src/store/backing.h).
//
//   pread(), pwrite() -> kernel's FUSE -> serve_until() -> GpuMemory
//
// The file's size is fixed, and reads and writes pass the page cache by. The kernel's messages are
// in memory of the process and not in the GPU's staging memory: the kernel pins what it copies
// there, which memory that a driver has mapped need not allow. libfuse allocates a structure of
// some 200 bytes for each request, out of what base/heap.h keeps; nothing else is allocated while
// it serves.
//
// Thread safety: one thread at a time. What others do with the file is the kernel's concern.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "gpu/gpu_memory.h"

struct fuse_session;

namespace pleat::tool {

class VramFile {
 public:
  static constexpr const char* kName = "vram";

  // What would keep mount() from it, before the GPU's memory is taken: `directory` is not there,
  // not empty or a mount already, or there is no FUSE.
  static Result<void> check(const std::string& directory);
  // Mounts it on `directory`. `memory` outlives it.
  static Result<std::unique_ptr<VramFile>> mount(gpu::GpuMemory& memory,
                                                 const std::string& directory);
  // Unmounts what is still mounted, whoever uses it.
  ~VramFile();
  VramFile(const VramFile&) = delete;
  VramFile& operator=(const VramFile&) = delete;

  // Serves requests until `wake` is readable, or the file system is gone: false then.
  bool serve_until(int wake);
  // Unmounts it. False where somebody has the file open, or is in the directory: then it goes on.
  bool unmount();

 private:
  struct Operations;  // what libfuse calls
  class MessageBuffer;

  VramFile(gpu::GpuMemory& memory, std::unique_ptr<MessageBuffer> buffer);
  Result<void> open_session();
  Result<void> connect(const std::string& directory);
  // Of `size` bytes at `offset`, those that the file has.
  std::size_t bytes_at(std::uint64_t offset, std::size_t size) const noexcept;
  // Serves what waits; false where the file system is gone.
  bool serve_waiting();

  gpu::GpuMemory& memory_;
  std::unique_ptr<MessageBuffer> buffer_;
  UniqueFd device_;  // of the connection
  fuse_session* session_ = nullptr;
  std::string directory_;  // while it is mounted there
  std::uint64_t open_files_ = 0;
  bool initialised_ = false;
};

}  // namespace pleat::tool
