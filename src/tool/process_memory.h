// SPDX-License-Identifier: MIT OR Apache-2.0
// What /proc says of another process's memory.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pleat::tool {

// An anonymous page that is present in a private mapping.
struct ResidentPage {
  std::uint64_t address = 0;
  std::uint64_t frame = 0;  // page frame number; 0 where only root may see it
  bool exclusive = false;   // mapped by this process alone, as pagemap says
};

class ProcessMemory {
 public:
  // EPERM or EACCES with what to do about it, ESRCH.
  static Result<ProcessMemory> open(pid_t pid);

  // All of them, in the order of their addresses.
  Result<std::vector<ResidentPage>> resident_pages() const;

  // Reads a page; false where it is gone.
  bool read(std::uint64_t address, std::byte* page) const;

  // Whether the page, whose bytes are at `bytes`, is the kernel's shared zero page (capture.h says
  // how that is told).
  bool shared_zero_page(const ResidentPage& page, const std::byte* bytes) const;

 private:
  explicit ProcessMemory(pid_t pid) : pid_(pid) {}

  pid_t pid_;
  UniqueFd pagemap_;
  UniqueFd memory_;
  UniqueFd page_flags_;  // of /proc/kpageflags, where it may be read
};

// The process's name, its parent and state letter as in /proc/PID/stat; ESRCH.
struct ProcessStat {
  std::string command;
  char state = '?';
  pid_t parent = 0;
};
Result<ProcessStat> read_process_stat(pid_t pid);

// Resident anonymous memory in bytes (RssAnon of /proc/PID/status); 0 for a process that is gone.
std::uint64_t resident_anonymous_bytes(pid_t pid);

// `root` and its descendants, as far as they are alive.
std::vector<pid_t> process_tree(pid_t root);

}  // namespace pleat::tool
