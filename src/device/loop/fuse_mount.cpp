// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/loop/fuse_mount.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

namespace pleat::device {
namespace {

Result<UniqueFd> open_file_system(const char* type) {
  UniqueFd context(fsopen(type, FSOPEN_CLOEXEC));
  if (context) return context;
  const int code = errno;
  Error error = errno_error(code, std::string("cannot open the file system type ") + type);
  if (code == ENODEV) {
    error.message += "; load the module (modprobe fuse)";
  } else if (code == EPERM) {
    error.message += "; run as root (needs CAP_SYS_ADMIN)";
  }
  return error;
}

// Makes the file system that `context` describes, and its mount.
Result<UniqueFd> mount_detached(const UniqueFd& context, const char* type) {
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return errno_error(std::string("cannot make a file system of type ") + type);
  }
  UniqueFd root(fsmount(context.get(), FSMOUNT_CLOEXEC,
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!root) return errno_error(std::string("cannot mount a file system of type ") + type);
  return root;
}

}  // namespace

Result<UniqueFd> open_fuse_device() {
  UniqueFd device(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (device) return device;
  const int code = errno;
  Error error = errno_error(code, "cannot open /dev/fuse");
  if (code == ENOENT || code == ENODEV) {
    error.message += "; load the module (modprobe fuse)";
  } else if (code == EACCES || code == EPERM) {
    error.message += "; run as root";
  }
  return error;
}

// fusectl has one folder for each connection, named by the device number of its file system, whose
// major number is 0 (Documentation/filesystems/fuse.rst, "Control filesystem").
Result<UniqueFd> open_fuse_abort(unsigned minor) {
  auto context = open_file_system("fusectl");
  if (!context) return std::move(context).error();
  auto control = mount_detached(*context, "fusectl");
  if (!control) return std::move(control).error();
  const std::string path = std::to_string(minor) + "/abort";
  UniqueFd file(openat(control->get(), path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return errno_error("cannot open " + path + " of fusectl");
  return file;
}

Result<void> probe_fuse() {
  if (auto device = open_fuse_device(); !device) return std::move(device).error();
  if (auto context = open_file_system("fuse"); !context) return std::move(context).error();
  return {};
}

Result<FuseMount> mount_fuse(int device) {
  FuseMount mount;
  auto context = open_file_system("fuse");
  if (!context) return std::move(context).error();
  const std::pair<const char*, std::string> parameters[] = {
      {"source", "pleat"},
      {"subtype", "pleat"},
      {"fd", std::to_string(device)},
      {"rootmode", "40000"},
      {"user_id", std::to_string(geteuid())},
      {"group_id", std::to_string(getegid())},
  };
  for (const auto& [key, value] : parameters) {
    if (fsconfig(context->get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) != 0) {
      return errno_error(std::string("cannot set the FUSE mount parameter ") + key);
    }
  }
  auto root = mount_detached(*context, "fuse");
  if (!root) return std::move(root).error();
  mount.root = std::move(root).value();

  struct statx status {};
  // Without DONT_SYNC the answer would have to come from the server, which does not serve yet.
  if (statx(mount.root.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &status) != 0) {
    return errno_error("cannot examine the FUSE mount");
  }
  auto abort = open_fuse_abort(status.stx_dev_minor);
  if (!abort) return std::move(abort).error();
  mount.abort = std::move(abort).value();
  return mount;
}

Result<void> join_fuse_connection(int clone, int device) {
  std::uint32_t original = static_cast<std::uint32_t>(device);
  if (ioctl(clone, FUSE_DEV_IOC_CLONE, &original) != 0) {
    return errno_error("cannot clone the FUSE connection");
  }
  return {};
}

}  // namespace pleat::device
