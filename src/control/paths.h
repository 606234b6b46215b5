// SPDX-License-Identifier: MIT OR Apache-2.0
// Addresses and files of the runtime directory, as server and client need them.
#pragma once

#include <sys/un.h>

#include <string>

#include "base/result.h"

namespace pleat::control {

// The socket address of device `name`. EINVAL for a name that valid_name() refuses, ENAMETOOLONG
// where the path does not fit in an address.
Result<sockaddr_un> socket_address(const std::string& name);

// Makes the runtime directory with mode 0755 where it is missing.
Result<void> make_runtime_directory();

}  // namespace pleat::control
