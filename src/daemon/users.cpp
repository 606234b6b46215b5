// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/users.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace pleat::daemon {

namespace {

constexpr long kOpenersRetryNs = 50'000'000;

// Names in a directory but "." and ".."; none where it cannot be read.
std::vector<std::string> entries(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
  std::vector<std::string> names;
  if (!directory) return names;
  while (const dirent* const entry = readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string last_component(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// /proc/swaps and mountinfo write blanks and backslashes as "\040" (mangle_path, fs/seq_file.c).
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 3 < text.size()) {
      plain.push_back(
          static_cast<char>(std::strtol(std::string(text.substr(at + 1, 3)).c_str(), nullptr, 8)));
      at += 3;
    } else {
      plain.push_back(text[at]);
    }
  }
  return plain;
}

// Whether `path` is the device under this or another name. Only names under /dev are looked at: a
// stat() elsewhere may wait for a file system that is dead.
bool names_device(const std::string& path, const BlockDevice& device) {
  if (path == device.path) return true;
  struct stat status {};
  return path.starts_with("/dev/") && stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode) &&
         major(status.st_rdev) == device.major && minor(status.st_rdev) == device.minor;
}

std::vector<std::vector<std::string>> fields_of_lines(const std::string& path) {
  std::vector<std::vector<std::string>> lines;
  auto text = read_file(path);
  if (!text) return lines;
  std::istringstream stream(*text);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::vector<std::string>& fields = lines.emplace_back();
    for (std::string word; words >> word;) fields.push_back(unescape(word));
  }
  return lines;
}

void find_swap(const BlockDevice& device, const std::string& name, const KernelRoots& roots,
               std::vector<Use>& uses) {
  for (const auto& fields : fields_of_lines(roots.proc + "/swaps")) {
    if (fields.empty() || !names_device(fields[0], device)) continue;
    uses.push_back({UseKind::kSwap, "in use as swap",
                    "swapoff " + device.path + " (or pleat remove " + name + " --swapoff)"});
  }
}

// The mounts of one process's namespace. Fields: proc(5), /proc/PID/mountinfo.
bool find_mounts(const BlockDevice& device, const std::string& mountinfo, const std::string& where,
                 const std::string& command, std::vector<Use>& uses) {
  const std::string number = std::to_string(device.major) + ":" + std::to_string(device.minor);
  bool found = false;
  for (const auto& fields : fields_of_lines(mountinfo)) {
    if (fields.size() < 7) continue;
    const auto dash = std::find(fields.begin() + 6, fields.end(), "-");
    // File systems over several devices have a number of their own and name the first as source.
    const bool is_source = fields.end() - dash > 2 && dash[2] == device.path;
    if (fields[2] != number && !is_source) continue;
    uses.push_back(
        {UseKind::kMount, "mounted on " + fields[4] + where, command + "umount " + fields[4]});
    found = true;
  }
  return found;
}

void find_holders(const BlockDevice& device, const KernelRoots& roots, std::vector<Use>& uses) {
  const std::string kernel_name = last_component(device.path);
  for (const std::string& holder : entries(roots.sys + "/block/" + kernel_name + "/holders")) {
    const std::string command =
        holder.starts_with("md") ? "mdadm --stop /dev/" : "dmsetup remove /dev/";
    uses.push_back({UseKind::kHolder, "part of /dev/" + holder, command + holder});
  }
  // A loop device over ours has it open inside the kernel, where no process shows it.
  for (const std::string& block : entries(roots.sys + "/block")) {
    if (!block.starts_with("loop") || block == kernel_name) continue;
    auto backing = read_file(roots.sys + "/block/" + block + "/loop/backing_file");
    if (!backing) continue;
    while (!backing->empty() && backing->back() == '\n') backing->pop_back();
    if (!names_device(*backing, device)) continue;
    uses.push_back(
        {UseKind::kBackingFile, "the backing file of /dev/" + block, "losetup -d /dev/" + block});
  }
}

void find_openers(const BlockDevice& device, const std::vector<pid_t>& ignored,
                  const KernelRoots& roots, std::vector<Use>& uses) {
  for (const std::string& process : entries(roots.proc)) {
    if (process.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto pid = static_cast<pid_t>(std::strtol(process.c_str(), nullptr, 10));
    if (std::find(ignored.begin(), ignored.end(), pid) != ignored.end()) continue;
    const std::string directory = roots.proc + "/" + process + "/fd/";
    for (const std::string& fd : entries(directory)) {
      char target[256];
      const ssize_t size = readlink((directory + fd).c_str(), target, sizeof(target));
      if (size <= 0) continue;
      if (!names_device(std::string(target, static_cast<std::size_t>(size)), device)) continue;
      uses.push_back({UseKind::kOpen,
                      "open in process " + process + " (" + process_name(pid, roots) + ")",
                      "kill " + process});
      break;
    }
  }
}

// Mounts that only other mount namespaces have (containers): looked for when somebody holds the
// device and nothing else shows who.
void find_mounts_elsewhere(const BlockDevice& device, const KernelRoots& roots,
                           std::vector<Use>& uses) {
  std::set<std::string> namespaces_seen;
  for (const std::string& process : entries(roots.proc)) {
    if (process.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string directory = roots.proc + "/" + process;
    char target[64];
    const ssize_t size = readlink((directory + "/ns/mnt").c_str(), target, sizeof(target));
    if (size <= 0) continue;
    if (!namespaces_seen.emplace(target, static_cast<std::size_t>(size)).second) continue;
    if (find_mounts(device, directory + "/mountinfo",
                    " in the mount namespace of process " + process,
                    "nsenter -t " + process + " -m ", uses)) {
      return;
    }
  }
}

bool any_lasts(const std::vector<Use>& uses) {
  return std::any_of(uses.begin(), uses.end(), [](const Use& use) { return use.lasts(); });
}

}  // namespace

Result<BlockDevice> block_device(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return errno_error("cannot look at " + path);
  if (!S_ISBLK(status.st_mode)) return errno_error(ENOTBLK, path);
  return BlockDevice{path, major(status.st_rdev), minor(status.st_rdev)};
}

std::vector<Use> find_uses(const BlockDevice& device, const std::string& name,
                           const std::vector<pid_t>& ignored, const KernelRoots& roots) {
  std::vector<Use> uses;
  find_swap(device, name, roots, uses);
  find_mounts(device, roots.proc + "/self/mountinfo", "", "", uses);
  find_holders(device, roots, uses);
  find_openers(device, ignored, roots, uses);
  return uses;
}

std::string describe_uses(const BlockDevice& device, const std::vector<Use>& uses) {
  std::string text = device.path + " is ";
  std::string remedies;
  for (const Use& use : uses) {
    if (&use != &uses.front()) {
      text += " and ";
      remedies += "; ";
    }
    text += use.text;
    remedies += use.remedy;
  }
  return text + "; run: " + remedies;
}

Result<UniqueFd> claim_device(const BlockDevice& device, const std::string& name,
                              const std::vector<pid_t>& ignored, unsigned patience_ms,
                              const KernelRoots& roots) {
  const std::uint64_t deadline_ns = monotonic_ns() + std::uint64_t{patience_ms} * 1'000'000;
  while (true) {
    UniqueFd claim(open(device.path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
    const int open_errno = errno;
    if (!claim && open_errno != EBUSY) {
      return errno_error(open_errno, "cannot open " + device.path);
    }
    std::vector<Use> uses = find_uses(device, name, ignored, roots);
    if (claim && uses.empty()) return claim;
    if (any_lasts(uses) || monotonic_ns() >= deadline_ns) {
      if (uses.empty()) find_mounts_elsewhere(device, roots, uses);
      if (uses.empty()) {
        return Error{EBUSY, device.path +
                                " is held by something that neither /proc nor /sys shows; "
                                "look for it in other containers"};
      }
      return Error{EBUSY, describe_uses(device, uses)};
    }
    claim.reset();
    const timespec pause{0, kOpenersRetryNs};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace pleat::daemon
