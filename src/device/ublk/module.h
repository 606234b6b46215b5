// SPDX-License-Identifier: MIT OR Apache-2.0
#pragma once

namespace pleat::device::ublk {

// Runs `modprobe ublk_drv` and waits for it, at most 5 s. Whether it helped shows when
// /dev/ublk-control is opened again, so nothing is returned.
void load_driver_module();

}  // namespace pleat::device::ublk
