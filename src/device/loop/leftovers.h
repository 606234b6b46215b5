// SPDX-License-Identifier: MIT OR Apache-2.0
// What a dead worker's loop device leaves in the kernel, and how it goes.
#pragma once

#include <string>

#include "base/result.h"
#include "device/transport.h"

namespace pleat::device {

// Detaches the loop devices that a worker for the device `name` left, and waits for it at most
// 3 s. The FUSE file system needs nothing: it is mounted nowhere, and ends with its last file.
// EBUSY where something still has the loop device open (swap, a mount): it then detaches itself at
// its last close, and every access to it fails meanwhile. Nothing to do is success.
Result<void> remove_loop_leftovers(const TransportInfo& info, const std::string& name);

}  // namespace pleat::device
