// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/loop/fuse_connection.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "device/loop/fuse_mount.h"
#include "device/transport.h"

namespace pleat::device {
namespace {

constexpr int kInitTimeoutMs = 5000;
// Of linux/fuse.h, protocol 7.40.
constexpr int kNotifyResend = 7;
constexpr std::uint64_t kHasResend = std::uint64_t{1} << 39;
// PIDFD_THREAD of linux/pidfd.h, Linux 6.9: the process id may be a thread's.
constexpr unsigned kPidfdThread = O_EXCL;

// Whether a connection of this kernel's can change its server.
Result<void> probe_resend() {
  auto device = open_fuse_device();
  if (!device) return std::move(device).error();
  auto mount = mount_fuse(device->get());
  if (!mount) return std::move(mount).error();
  alignas(8) std::byte init[FUSE_MIN_READ_BUFFER];
  const auto size = read_fuse_init(device->get(), init);
  if (!size) return size.error();
  if (!has_resend({init, *size})) {
    return Error{EOPNOTSUPP, "this kernel does not send lost requests again (Linux 6.9 does)"};
  }
  auto clone = open_fuse_device();
  if (!clone) return std::move(clone).error();
  return join_fuse_connection(clone->get(), device->get());
}

}  // namespace

Result<std::size_t> read_fuse_init(int device, std::span<std::byte> message) {
  pollfd waiting{device, POLLIN, 0};
  if (poll(&waiting, 1, kInitTimeoutMs) != 1) return Error{ETIMEDOUT, "FUSE does not start"};
  const ssize_t size = ::read(device, message.data(), message.size());
  if (size < 0) return errno_error("cannot read the first FUSE message");
  return static_cast<std::size_t>(size);
}

bool has_resend(std::span<const std::byte> init) {
  fuse_init_in in{};
  if (init.size() < sizeof(fuse_in_header) + sizeof(in)) return false;
  std::memcpy(&in, init.data() + sizeof(fuse_in_header), sizeof(in));
  return (in.flags & FUSE_INIT_EXT) != 0 && ((std::uint64_t{in.flags2} << 32) & kHasResend) != 0;
}

int resend_requests(int device) noexcept {
  fuse_out_header notice{};
  notice.len = sizeof(notice);
  notice.error = kNotifyResend;
  return write(device, &notice, sizeof(notice)) == sizeof(notice) ? 0 : errno;
}

Result<LoopConnection> open_loop_connection(unsigned queues) {
  if (auto probed = probe_resend(); !probed) return std::move(probed).error();
  LoopConnection connection;
  for (unsigned i = 0; i < queues; ++i) {
    auto device = open_fuse_device();
    if (!device) return std::move(device).error();
    connection.push_back(std::move(*device));
  }
  return connection;
}

Result<LoopConnection> copy_loop_connection(pid_t process, unsigned queues) {
  namespace fs = std::filesystem;
  LoopConnection connection;
  const std::string name = "process " + std::to_string(process);
  std::error_code error;  // of threads that end meanwhile
  // Serving threads have tables of their own.
  const fs::path tasks = "/proc/" + std::to_string(process) + "/task";
  for (fs::directory_iterator task(tasks, error); task != fs::directory_iterator();
       task.increment(error)) {
    const auto thread = static_cast<pid_t>(std::stol(task->path().filename()));
    for (fs::directory_iterator entry(task->path() / "fd", error);
         entry != fs::directory_iterator(); entry.increment(error)) {
      if (fs::read_symlink(entry->path(), error) != "/dev/fuse") continue;
      const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, thread, kPidfdThread)));
      UniqueFd copy(static_cast<int>(
          syscall(SYS_pidfd_getfd, pidfd.get(), std::stoi(entry->path().filename()), 0)));
      if (!copy) return errno_error("cannot copy the FUSE descriptors of " + name);
      connection.push_back(std::move(copy));
    }
  }
  if (connection.size() == queues) return connection;
  return Error{ESRCH, name + " has " + std::to_string(connection.size()) +
                          " FUSE descriptors, and not one for each of " + std::to_string(queues) +
                          " queues"};
}

}  // namespace pleat::device
