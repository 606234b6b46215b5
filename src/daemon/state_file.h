// SPDX-License-Identifier: MIT OR Apache-2.0
// What a daemon leaves written down so that others can clean up after it: /run/pleat/NAME.json.
//
// The guardian writes it before the worker exists, the worker before the kernel's device is made
// (which transport and number it will be) and again when the device is there. It goes when the
// device is gone. Each write replaces the file as a whole.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/procfs.h"
#include "device/transport.h"

namespace pleat::daemon {

struct State {
  std::string name;
  ProcessId guardian;
  ProcessId worker;       // pid 0 until there is one
  std::string transport;  // "ublk", "loop", or empty until one is chosen
  int id = -1;            // number of the kernel's device, -1 until it is known
  std::string path;       // "/dev/loop3", empty until it is known
};

Result<void> save_state(const State& state);
// ENOENT where there is none; EBADMSG where it cannot be understood.
Result<State> load_state(const std::string& name);
void remove_state(const std::string& name);

// Names that have a state file, a socket or a lock in the runtime directory, sorted.
std::vector<std::string> names_in_runtime_directory();

// What remove_leftovers() is to be told. Precondition: a transport is chosen.
device::TransportInfo leftovers_of(const State& state);

}  // namespace pleat::daemon
