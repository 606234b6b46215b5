// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/gpu_tier.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <utility>

#include "base/heap.h"
#include "base/notify.h"
#include "base/process.h"
#include "base/units.h"
#include "gpu/gpu_memory.h"
#include "tool/interruption.h"
#include "tool/vram_file.h"

namespace pleat::tool {
namespace {

// Reads of swap may wait for this process: none of its memory is swapped out, and what it asks of
// the kernel does not wait for the device that waits for it. What the GPU's driver does in the
// kernel is its own affair.
Result<void> protect_tier(std::ostream& notes) {
  if (auto safe = protect_from_oom_killer(); !safe) {
    notes << "pleat: the OOM killer may end this tier: " << safe.error().message << "\n";
  }
  if (auto locked = lock_memory(); !locked) return locked;
  touch_stack();
  fill_thread_heap();
  if (auto marked = set_io_flusher(); !marked) {
    if (marked.error().code != EPERM) return marked;
    notes << "pleat: " << marked.error().message << "; swap may need it when memory is short\n";
  }
  return {};
}

}  // namespace

Result<void> run_gpu_tier(const GpuTierOptions& options, std::ostream& out, std::ostream& notes) {
  if (geteuid() != 0) return Error{EPERM, "a VRAM tier mounts a file system; run as root"};
  if (auto checked = VramFile::check(options.directory); !checked) return checked;
  // Before there are threads of the GPU's driver, which inherit the mask.
  auto interruption = Interruption::watch();
  if (!interruption) return std::move(interruption).error();
  // To say something may neither end nor stop it, whoever reads that.
  for (const int ignored : {SIGPIPE, SIGTTOU}) std::signal(ignored, SIG_IGN);
  const ServiceManager manager = take_service_manager();
  keep_heap();
  auto memory = gpu::GpuMemory::allocate(options.device, options.bytes);
  if (!memory) return std::move(memory).error();
  auto file = VramFile::mount(*memory, options.directory);
  if (!file) return std::move(file).error();
  if (auto protected_now = protect_tier(notes); !protected_now) return protected_now;

  const std::string path = options.directory + "/" + VramFile::kName;
  const std::string line = path + ": " + format_size(options.bytes) + " of GPU " +
                           std::to_string(options.device) + " (" + memory->info().name + ")";
  out << line << std::endl;
  notify(manager, "READY=1\nSTATUS=" + line);
  while ((*file)->serve_until(interruption->fd())) {
    if (!interruption->interrupted()) continue;
    interruption->reset();
    if ((*file)->unmount()) return {};
    notes << "pleat: " << path
          << " is in use, and its pages would be lost: remove the devices that write back to it "
             "(pleat remove), then ask again"
          << std::endl;
  }
  return Error{ENODEV, path + " is gone: somebody has unmounted it or ended its FUSE connection"};
}

}  // namespace pleat::tool
