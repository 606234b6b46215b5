// SPDX-License-Identifier: MIT OR Apache-2.0
// Removing what dead daemons left: kernel devices and their mounts, sockets, state files.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/name_lock.h"

namespace pleat::daemon {

// Removes what the dead daemon of this name left, at most about 15 s. The caller holds the name's
// lock and has one thread, and no worker of the name lives. Where the kernel still needs the device
// (it is in use as swap, say) the state file stays, so that a later sweep finishes.
Result<void> clean_up(const std::string& name, NameLock& lock);

// Whether the pages of a dead daemon's device are there still, and another daemon could serve them.
bool has_pages(const std::string& name);

struct SweepResult {
  std::vector<std::string> removed;  // names
  std::vector<Error> failures;
};

// Whose leftovers to remove: those that hold no pages any more; also those with pages that nothing
// uses; or all.
enum class SweepOf { kLost, kUnused, kAll };

// clean_up() for every name in the runtime directory that no living daemon holds. Devices of living
// daemons are never touched.
SweepResult sweep(SweepOf what);

}  // namespace pleat::daemon
