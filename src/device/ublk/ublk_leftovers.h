// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

#include "base/result.h"
#include "device/transport.h"

namespace pleat::device {

// Deletes ublk device `info.id`, which a dead daemon of ours left. Success too where there is no
// such device. EBUSY where the daemon lives, EPERM where the device is not Pleat's: both are left
// alone. Takes at most 15 s, and about 50 ms by far mostly.
Result<void> remove_ublk_leftovers(const TransportInfo& info);

}  // namespace pleat::device
