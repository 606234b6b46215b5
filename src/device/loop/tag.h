// SPDX-License-Identifier: MIT OR Apache-2.0
// What ties a loop device to the Pleat device it belongs to.
#pragma once

#include <string>

namespace pleat::device {

// The name of the FUSE file, which losetup shows as the backing file, and the loop device's
// lo_file_name. Device names have at most 32 characters, so that it fits there whole.
inline std::string loop_tag(const std::string& name) { return "pleat-" + name; }

}  // namespace pleat::device
