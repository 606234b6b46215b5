// SPDX-License-Identifier: MIT OR Apache-2.0
// Real pages for the benchmarks: a sample of the anonymous private pages that a process has in
// memory, which are the ones that the kernel would swap out (`pleat capture`).
//
// Which pages: those of private mappings that /proc/PID/pagemap shows present and not file-backed,
// so also pages of a file that the process has changed for itself. Zero pages are kept, but not the
// kernel's shared zero page, which is never swapped: /proc/kpageflags tells it apart where it may
// be read; elsewhere a page of zeros counts as the shared one unless pagemap says that it is mapped
// here alone.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace pleat::tool {

struct CaptureOptions {
  std::size_t pages_max = 2048;
  std::uint64_t seed = 1;  // of the sample
  // Takes aligned groups of 16 KiB whose four pages all qualify, and so at most pages_max / 4.
  bool groups = false;
  // Stops the process while its memory is read. Without it pages may change or vanish meanwhile; a
  // page that vanishes is left out.
  bool stop = true;
};

inline constexpr std::size_t kGroupPages = 4;

struct CapturedPages {
  pid_t pid = 0;
  std::string command;                // the process's name
  std::vector<std::byte> bytes;       // whole pages in the order of their addresses
  std::size_t pages_found = 0;        // anonymous private pages in memory
  std::size_t pages_vanished = 0;     // chosen, but gone when they were read
  std::size_t shared_zero_pages = 0;  // met while sampling, and left out

  std::size_t pages() const;
};

// A uniform sample without replacement. The process is going again on return, also after an error,
// unless it was stopped before; SIGINT, SIGTERM and SIGHUP wait meanwhile. ESRCH, EPERM (with what
// to do), ENODATA where it has no such page.
Result<CapturedPages> capture_process(pid_t pid, const CaptureOptions& options);

// Where a command's pages are taken.
struct CommandOptions {
  // So long after its start, and then the command is ended. Where it is 0, at the peak of its
  // memory: whenever it has grown by a tenth since the last capture, until the command ends.
  double after_seconds = 0;
};

// Runs a command and captures the pages of the process with the most resident memory among it and
// its descendants. Needs no root, being its parent. ENODATA where the command ends too early.
Result<CapturedPages> capture_command(const std::vector<std::string>& command,
                                      const CommandOptions& when, const CaptureOptions& options);

// Writes the file as a whole or, on an error, not at all.
Result<void> write_pages(const std::string& path, const std::vector<std::byte>& bytes);

}  // namespace pleat::tool
