// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/procfs.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"

namespace pleat::daemon {

namespace {

constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;

// The number behind "KEY:" of a file in the manner of /proc/meminfo, in bytes.
Result<std::uint64_t> kib_of_key(const std::string& path, std::string_view key) {
  auto text = read_file(path);
  if (!text) return text.error();
  std::size_t at = 0;
  while (at < text->size()) {
    std::size_t end = text->find('\n', at);
    if (end == std::string::npos) end = text->size();
    const std::string_view line(text->data() + at, end - at);
    if (line.starts_with(key)) {
      return std::uint64_t{std::strtoull(line.data() + key.size(), nullptr, 10)} * 1024;
    }
    at = end + 1;
  }
  return Error{EBADMSG, path + " has no " + std::string(key)};
}

struct StatFields {
  char state = '?';
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;
};

Result<StatFields> stat_fields(pid_t pid, const KernelRoots& roots) {
  const std::string path = roots.proc + "/" + std::to_string(pid) + "/stat";
  auto text = read_file(path);
  if (!text) return Error{ESRCH, "no process " + std::to_string(pid)};
  // The second field is the name in parentheses and may hold anything, so count from its end.
  const std::size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return Error{EBADMSG, path + " has no name"};
  std::vector<std::string_view> fields;
  std::size_t at = name_end + 1;
  while (at < text->size()) {
    const std::size_t start = text->find_first_not_of(" \n", at);
    if (start == std::string::npos) break;
    std::size_t end = text->find_first_of(" \n", start);
    if (end == std::string::npos) end = text->size();
    fields.emplace_back(text->data() + start, end - start);
    at = end;
  }
  // proc(5): the state is field 3, the number of threads field 20 and the start time field 22.
  if (fields.size() < 20) return Error{EBADMSG, path + " is too short"};
  return StatFields{fields[0].front(), std::strtoull(fields[17].data(), nullptr, 10),
                    std::strtoull(fields[19].data(), nullptr, 10)};
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return errno_error("cannot open " + path);
  std::string text;
  char part[4096];
  while (text.size() < kFileBytesMax) {
    const ssize_t size = read(file.get(), part, sizeof(part));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno_error("cannot read " + path);
    if (size == 0) break;
    text.append(part, static_cast<std::size_t>(size));
  }
  return text;
}

Result<ProcessId> process_id(pid_t pid, const KernelRoots& roots) {
  auto fields = stat_fields(pid, roots);
  if (!fields) return fields.error();
  return ProcessId{pid, fields->start_ticks};
}

bool is_alive(const ProcessId& process, const KernelRoots& roots) {
  if (process.pid <= 0) return false;
  auto fields = stat_fields(process.pid, roots);
  if (!fields || fields->state == 'X' || fields->start_ticks != process.start_ticks) return false;
  // A killed process whose main thread has ended lives on while another one waits for a disk.
  return fields->state != 'Z' || fields->threads > 1;
}

std::string process_name(pid_t pid, const KernelRoots& roots) {
  auto text = read_file(roots.proc + "/" + std::to_string(pid) + "/comm");
  if (!text) return "?";
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return std::move(*text);
}

Result<std::uint64_t> pss_bytes(pid_t pid, const KernelRoots& roots) {
  return kib_of_key(roots.proc + "/" + std::to_string(pid) + "/smaps_rollup", "Pss:");
}

Result<void> join_cgroup_of(pid_t pid, const KernelRoots& roots) {
  auto groups = read_file(roots.proc + "/" + std::to_string(pid) + "/cgroup");
  if (!groups) return groups.error();
  // The line of the unified hierarchy, "0::/path"; there is none where only version 1 is in use.
  constexpr std::string_view kUnified = "0::";
  std::size_t at = groups->starts_with(kUnified) ? 0 : groups->find("\n0::");
  if (at == std::string::npos) return {};
  at = groups->find("::", at) + 2;
  const std::string group = groups->substr(at, groups->find('\n', at) - at);
  const std::string path = roots.sys + "/fs/cgroup" + group + "/cgroup.procs";
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  // Nothing is mounted there: the processes of this system are in no groups.
  if (!file && errno == ENOENT) return {};
  if (!file || write(file.get(), "0", 1) != 1) return errno_error("cannot write " + path);
  return {};
}

bool shares_cgroup_with(pid_t pid, const KernelRoots& roots) {
  const auto own = read_file(roots.proc + "/self/cgroup");
  const auto other = read_file(roots.proc + "/" + std::to_string(pid) + "/cgroup");
  return own && other && *own == *other;
}

Result<std::uint64_t> available_memory_bytes(const KernelRoots& roots) {
  return kib_of_key(roots.proc + "/meminfo", "MemAvailable:");
}

}  // namespace pleat::daemon
