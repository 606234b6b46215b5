// SPDX-License-Identifier: MIT OR Apache-2.0
// The few facts of /proc that the daemon reads, with its mount point as a seam for tests.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace pleat::daemon {

// Where the kernel's file systems are; tests put directories of their own here.
struct KernelRoots {
  std::string proc = "/proc";
  std::string sys = "/sys";
};

// A process that cannot be confused with a later one of the same number.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat: clock ticks since boot

  bool operator==(const ProcessId&) const = default;
};

// The whole file, at most 1 MiB of it.
Result<std::string> read_file(const std::string& path);

// ESRCH where there is no such process.
Result<ProcessId> process_id(pid_t pid, const KernelRoots& roots = {});

// Whether that very process is still there; a zombie is not.
bool is_alive(const ProcessId& process, const KernelRoots& roots = {});

// The process's name as in ps, or "?" where it cannot be read.
std::string process_name(pid_t pid, const KernelRoots& roots = {});

// Resident memory of a process in bytes, its share of shared pages (Pss of smaps_rollup).
Result<std::uint64_t> pss_bytes(pid_t pid, const KernelRoots& roots = {});

// Moves this process to the control group (cgroup v2) of another, which it need not be in already.
Result<void> join_cgroup_of(pid_t pid, const KernelRoots& roots = {});

// Whether another process is in this one's control groups, in every hierarchy.
bool shares_cgroup_with(pid_t pid, const KernelRoots& roots = {});

// MemAvailable of /proc/meminfo in bytes.
Result<std::uint64_t> available_memory_bytes(const KernelRoots& roots = {});

}  // namespace pleat::daemon
