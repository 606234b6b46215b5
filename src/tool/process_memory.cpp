// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/process_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/page.h"

namespace pleat::tool {
namespace {

// Documentation/admin-guide/mm/pagemap.rst.
constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;
constexpr std::uint64_t kFileOrShared = std::uint64_t{1} << 61;
constexpr std::uint64_t kExclusive = std::uint64_t{1} << 56;
constexpr std::uint64_t kFrameMask = (std::uint64_t{1} << 55) - 1;
// include/uapi/linux/kernel-page-flags.h: KPF_ZERO_PAGE.
constexpr std::uint64_t kZeroPageFlag = std::uint64_t{1} << 24;

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// The private mappings of the process, without the kernel's own ([vvar], [vdso], [vsyscall]).
Result<std::vector<Mapping>> private_mappings(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/maps", pid));
  if (!file) return errno_error(fmt::format("cannot read the mappings of process {}", pid));
  std::vector<Mapping> mappings;
  for (std::string line; std::getline(file, line);) {
    Mapping mapping;
    char permissions[5] = {};
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s", &mapping.begin, &mapping.end,
                    permissions) != 3) {
      return Error{EBADMSG, fmt::format("cannot read the mappings of process {}: {}", pid, line)};
    }
    if (permissions[3] != 'p' || line.find(" [v") != std::string::npos) continue;
    mappings.push_back(mapping);
  }
  return mappings;
}

Error denied(pid_t pid, int code) {
  if (code == ENOENT && ::access(fmt::format("/proc/{}", pid).c_str(), F_OK) == 0) {
    return Error{ENOTSUP, "this kernel has no /proc/PID/pagemap (CONFIG_PROC_PAGE_MONITOR)"};
  }
  if (code == ENOENT) return errno_error(ESRCH, fmt::format("cannot capture process {}", pid));
  return errno_error(code, fmt::format("cannot read the memory of process {}", pid));
}

bool all_zero(const std::byte* page) {
  return page[0] == std::byte{0} && std::memcmp(page, page + 1, kPageSize - 1) == 0;
}

}  // namespace

Result<ProcessMemory> ProcessMemory::open(pid_t pid) {
  ProcessMemory process(pid);
  process.pagemap_.reset(
      ::open(fmt::format("/proc/{}/pagemap", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (process.pagemap_) {
    process.memory_.reset(::open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (!process.pagemap_ || !process.memory_) {
    Error error = denied(pid, errno);
    if (error.code == EPERM || error.code == EACCES) {
      error.message += "; run as root, or let pleat capture start the command itself";
    }
    return error;
  }
  process.page_flags_.reset(::open("/proc/kpageflags", O_RDONLY | O_CLOEXEC));
  return process;
}

Result<std::vector<ResidentPage>> ProcessMemory::resident_pages() const {
  Result<std::vector<Mapping>> mappings = private_mappings(pid_);
  if (!mappings) return std::move(mappings).error();
  std::vector<ResidentPage> pages;
  std::vector<std::uint64_t> entries(4096);
  for (const Mapping& mapping : *mappings) {
    for (std::uint64_t address = mapping.begin; address < mapping.end;) {
      const std::size_t wanted =
          std::min<std::uint64_t>(entries.size(), (mapping.end - address) / kPageSize);
      const ssize_t bytes = ::pread(pagemap_.get(), entries.data(), wanted * sizeof(entries[0]),
                                    static_cast<off_t>(address / kPageSize * sizeof(entries[0])));
      if (bytes <= 0) {
        return errno_error(bytes < 0 ? errno : ESRCH,
                           fmt::format("cannot read the page map of process {}", pid_));
      }
      const std::size_t count = static_cast<std::size_t>(bytes) / sizeof(entries[0]);
      for (std::size_t i = 0; i < count; ++i, address += kPageSize) {
        if ((entries[i] & (kPresent | kFileOrShared)) != kPresent) continue;
        pages.push_back({address, entries[i] & kFrameMask, (entries[i] & kExclusive) != 0});
      }
    }
  }
  return pages;
}

bool ProcessMemory::read(std::uint64_t address, std::byte* page) const {
  return ::pread(memory_.get(), page, kPageSize, static_cast<off_t>(address)) ==
         static_cast<ssize_t>(kPageSize);
}

bool ProcessMemory::shared_zero_page(const ResidentPage& page, const std::byte* bytes) const {
  if (!all_zero(bytes)) return false;
  std::uint64_t flags = 0;
  if (page_flags_ && page.frame != 0 &&
      ::pread(page_flags_.get(), &flags, sizeof(flags),
              static_cast<off_t>(page.frame * sizeof(flags))) == sizeof(flags)) {
    return (flags & kZeroPageFlag) != 0;
  }
  return !page.exclusive;
}

Result<ProcessStat> read_process_stat(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  // "PID (NAME) STATE PARENT ...", and a name may hold blanks and parentheses.
  const std::size_t open = line.find('(');
  const std::size_t close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos) {
    return errno_error(ESRCH, fmt::format("cannot look at process {}", pid));
  }
  ProcessStat stat;
  stat.command = line.substr(open + 1, close - open - 1);
  std::istringstream rest(line.substr(close + 1));
  rest >> stat.state >> stat.parent;
  return stat;
}

std::uint64_t resident_anonymous_bytes(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(file, line);) {
    std::uint64_t kib = 0;
    if (std::sscanf(line.c_str(), "RssAnon: %" SCNu64 " kB", &kib) == 1) return kib * 1024;
  }
  return 0;
}

std::vector<pid_t> process_tree(pid_t root) {
  std::vector<std::pair<pid_t, pid_t>> parents;  // process, its parent
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", failure)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) continue;
    Result<ProcessStat> stat = read_process_stat(pid);
    if (stat && stat->state != 'Z') parents.emplace_back(pid, stat->parent);
  }
  std::vector<pid_t> tree;
  for (const auto& [pid, parent] : parents) {
    if (pid == root) tree.push_back(root);
  }
  for (std::size_t i = 0; i < tree.size(); ++i) {
    for (const auto& [pid, parent] : parents) {
      if (parent == tree[i]) tree.push_back(pid);
    }
  }
  return tree;
}

}  // namespace pleat::tool
