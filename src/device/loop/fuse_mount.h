// SPDX-License-Identifier: MIT OR Apache-2.0
// A FUSE file system that is mounted nowhere.
//
// fsmount(2) gives a mount that only its file descriptor and the files opened through it hold. No
// path leads to it, so nobody can use, stat or unmount it by accident, and nothing of it is left
// when the process dies: the kernel takes it down with its last file.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace pleat::device {

struct FuseMount {
  UniqueFd root;   // the root folder, for openat(2)
  UniqueFd abort;  // one byte written here ends the connection, whatever is in flight
};

// Whether file systems may be mounted and FUSE is there. Leaves nothing.
Result<void> probe_fuse();

// A descriptor of /dev/fuse, which belongs to no connection yet.
Result<UniqueFd> open_fuse_device();

// Makes a connection of `device` and the mount. The kernel's first message, FUSE_INIT, then waits
// on `device`; every use of `root` blocks until it is answered.
Result<FuseMount> mount_fuse(int device);

// Makes `clone`, which belongs to no connection, one more descriptor of that of `device`, for a
// thread to read and answer requests on without meeting the others (FUSE_DEV_IOC_CLONE).
Result<void> join_fuse_connection(int clone, int device);

// The file that ends the connection whose file system has this device number; FuseMount's `abort`.
Result<UniqueFd> open_fuse_abort(unsigned minor);

}  // namespace pleat::device
