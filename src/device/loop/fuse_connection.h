// SPDX-License-Identifier: MIT OR Apache-2.0
// The descriptors of a FUSE connection that outlives its server, and the kernel's part in that.
//
// A request that a server has read hangs on the descriptor it was read from until it is answered;
// the last close of that one ends it with an error (fs/fuse/dev.c, fuse_dev_release()). So each is
// opened before there is a second process, and all who may ever serve inherit it. A successor then
// has the kernel put back what was read and not answered (FUSE_NOTIFY_RESEND, Linux 6.9).
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace pleat::device {

// Waits for the first message of the connection of `device` and reads it; its size in bytes.
Result<std::size_t> read_fuse_init(int device, std::span<std::byte> message);

// Whether the kernel whose first message this is can send lost requests again.
bool has_resend(std::span<const std::byte> init);

// Has the kernel queue again what was read through any descriptor of the connection and was not
// answered. Nobody may serve meanwhile: who holds one of those requests would serve it twice at
// once. 0 or an errno; allocates nothing.
int resend_requests(int device) noexcept;

}  // namespace pleat::device
