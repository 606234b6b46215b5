// SPDX-License-Identifier: MIT OR Apache-2.0
// For commands whose devices are ours or kernel zram's.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "base/result.h"
#include "tool/system.h"
#include "tool/zram_device.h"

namespace pleat::tool {

// Calls one of the two for each device, as it is kernel zram's or not, and prints "NAME: " and the
// text that it returns. Goes on after a failure, and returns all of them as one.
Result<void> for_either_device(
    const std::vector<std::string>& names, const System& system, std::ostream& out,
    const std::function<Result<std::string>(const ZramDevice& device)>& for_zram,
    const std::function<Result<std::string>(const std::string& argument)>& for_pleat);

// The number `key` of what the daemon of a device of ours, by name or path, answers. EBADMSG where
// it has none: then it "does not say" `what`.
Result<std::uint64_t> ask_for_number(const std::string& argument, const nlohmann::json& request,
                                     unsigned timeout_ms, const char* key, const char* what);

}  // namespace pleat::tool
