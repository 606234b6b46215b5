// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/loop/loop_device.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/clock.h"

namespace pleat::device {
namespace {

constexpr unsigned kPollMs = 5;

Result<UniqueFd> open_loop_control() {
  UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (control) return control;
  const int code = errno;
  Error error = errno_error(code, "cannot open /dev/loop-control");
  if (code == ENOENT || code == ENODEV) {
    error.message += "; load the module (modprobe loop)";
  } else if (code == EACCES || code == EPERM) {
    error.message += "; run as root";
  }
  return error;
}

// The description of an attached device.
loop_info64 describe(const LoopOptions& options) {
  loop_info64 info{};
  info.lo_flags = LO_FLAGS_DIRECT_IO;
  if (options.autoclear) info.lo_flags |= LO_FLAGS_AUTOCLEAR;
  info.lo_sizelimit = options.bytes;
  std::memcpy(info.lo_file_name, options.tag.data(),
              std::min(options.tag.size(), sizeof(info.lo_file_name) - 1));
  return info;
}

// Attaches `file` to the free loop device at `fd`; 0 or an errno, EBUSY where somebody else was
// faster.
int configure(int fd, int file, const LoopOptions& options) {
  loop_config config{};
  config.fd = static_cast<std::uint32_t>(file);
  config.block_size = options.block_bytes;
  config.info = describe(options);
  return ioctl(fd, LOOP_CONFIGURE, &config) == 0 ? 0 : errno;
}

// The same before Linux 5.8, in several steps.
int configure_in_steps(int fd, int file, const LoopOptions& options) {
  if (ioctl(fd, LOOP_SET_FD, file) != 0) return errno;
  loop_info64 info = describe(options);
  // LOOP_SET_STATUS64 does not take this flag.
  info.lo_flags &= ~static_cast<unsigned>(LO_FLAGS_DIRECT_IO);
  if (ioctl(fd, LOOP_SET_STATUS64, &info) == 0 &&
      ioctl(fd, LOOP_SET_BLOCK_SIZE, static_cast<unsigned long>(options.block_bytes)) == 0 &&
      ioctl(fd, LOOP_SET_DIRECT_IO, 1UL) == 0) {
    return 0;
  }
  const int code = errno;
  ioctl(fd, LOOP_CLR_FD, 0);
  return code == EBUSY ? EIO : code;  // EBUSY would be taken for a device that was not free
}

bool uses_direct_io(int fd) {
  loop_info64 info{};
  return ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && (info.lo_flags & LO_FLAGS_DIRECT_IO) != 0;
}

bool has_tag(const loop_info64& info, const std::string& tag) {
  return tag == reinterpret_cast<const char*>(info.lo_file_name);
}

// Whether loop device `id` is attached and carries `tag`.
bool is_attached(int id, const std::string& tag) {
  const UniqueFd fd(open(loop_path(id).c_str(), O_RDONLY | O_CLOEXEC));
  // A device that is just being detached cannot be opened (drivers/block/loop.c: lo_open).
  if (!fd) return errno == ENXIO;
  loop_info64 info{};
  if (ioctl(fd.get(), LOOP_GET_STATUS64, &info) != 0) return false;
  return has_tag(info, tag);
}

// A descriptor of loop device `id`, where it carries `tag`; and what it says.
Result<UniqueFd> open_attached(int id, const std::string& tag, loop_info64* info) {
  const std::string path = loop_path(id);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error("cannot open " + path);
  if (ioctl(fd.get(), LOOP_GET_STATUS64, info) != 0) return errno_error("cannot ask about " + path);
  if (!has_tag(*info, tag)) return Error{ENODEV, path + " is another device by now"};
  return fd;
}

Result<void> wait_detached(int id, const std::string& tag, unsigned timeout_ms) {
  const std::uint64_t end_ns = monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000;
  while (is_attached(id, tag)) {
    if (monotonic_ns() >= end_ns) {
      const std::string path = loop_path(id);
      return Error{EBUSY, path + " is still in use and goes away at its last close (swapoff " +
                              path + " or umount)"};
    }
    const timespec pause{0, kPollMs * 1'000'000};
    nanosleep(&pause, nullptr);
  }
  return {};
}

}  // namespace

std::string loop_path(int id) { return "/dev/loop" + std::to_string(id); }

Result<void> probe_loop_control() {
  auto control = open_loop_control();
  if (!control) return std::move(control).error();
  return {};
}

Result<LoopDevice> LoopDevice::attach(int file, const LoopOptions& options) {
  auto control = open_loop_control();
  if (!control) return std::move(control).error();
  // A number that LOOP_CTL_GET_FREE returns is not reserved: others may take it first.
  constexpr int kAttempts = 64;
  bool in_steps = !options.configure;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int id = ioctl(control->get(), LOOP_CTL_GET_FREE);
    if (id < 0) {
      return errno_error("no free loop device (detach one with losetup -d, or raise max_loop)");
    }
    const std::string path = loop_path(id);
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) {
      Error error = errno_error("cannot open the free loop device " + path);
      if (error.code == ENOENT) {
        error.message += "; make its node (mknod " + path + " b 7 " + std::to_string(id) + ")";
      } else if (error.code == EACCES || error.code == EPERM) {
        error.message += "; run as root, in a container with access to loop devices";
      }
      return error;
    }
    int code =
        in_steps ? configure_in_steps(fd.get(), file, options) : configure(fd.get(), file, options);
    if (!in_steps && (code == ENOTTY || code == EINVAL)) {
      in_steps = true;
      code = configure_in_steps(fd.get(), file, options);
    }
    if (code == EBUSY) continue;
    if (code != 0) return errno_error(code, "cannot attach " + path);
    if (!uses_direct_io(fd.get())) {
      // Through the page cache a page that leaves memory would first be copied into memory.
      ioctl(fd.get(), LOOP_CLR_FD, 0);
      return Error{ENOTSUP, path + " does not do direct I/O on this kernel"};
    }
    if (!options.autoclear) fd.reset();
    return LoopDevice(std::move(fd), id, options.tag);
  }
  return Error{EBUSY, "every free loop device was taken by somebody else; try again"};
}

LoopDevice LoopDevice::attached(int id, const std::string& tag) {
  return LoopDevice(UniqueFd(), id, tag);
}

LoopDevice::LoopDevice(UniqueFd fd, int id, std::string tag)
    : fd_(std::move(fd)), id_(id), tag_(std::move(tag)) {}

std::string LoopDevice::path() const { return loop_path(id_); }

Result<unsigned> LoopDevice::file_system() const {
  loop_info64 info{};
  if (auto fd = open_attached(id_, tag_, &info); !fd) return std::move(fd).error();
  return minor(info.lo_device);
}

Result<void> LoopDevice::resize(std::uint64_t bytes) {
  loop_info64 info{};
  auto fd = open_attached(id_, tag_, &info);
  if (!fd) return std::move(fd).error();
  info.lo_sizelimit = bytes;
  // EAGAIN: pages became dirty again after the driver had written them.
  constexpr int kAttempts = 64;
  for (int attempt = 1; ioctl(fd->get(), LOOP_SET_STATUS64, &info) != 0; ++attempt) {
    if (errno != EAGAIN || attempt == kAttempts) {
      return errno_error("cannot change the size of " + path());
    }
  }
  return {};
}

Result<void> LoopDevice::detach(unsigned timeout_ms) {
  fd_.reset();
  return detach_loop(id_, tag_, timeout_ms);
}

Result<void> LoopDevice::detach_claimed(UniqueFd claim, unsigned timeout_ms) {
  // A device that takes no opens takes no writes either, so what is dirty is written first.
  fsync(claim.get());
  fd_.reset();
  ioctl(claim.get(), LOOP_CLR_FD, 0);
  claim.reset();
  return detach_loop(id_, tag_, timeout_ms);
}

Result<void> detach_loop(int id, const std::string& tag, unsigned timeout_ms) {
  if (!is_attached(id, tag)) return {};
  {
    const UniqueFd fd(open(loop_path(id).c_str(), O_RDONLY | O_CLOEXEC));
    if (fd) ioctl(fd.get(), LOOP_CLR_FD, 0);
  }
  return wait_detached(id, tag, timeout_ms);
}

}  // namespace pleat::device
