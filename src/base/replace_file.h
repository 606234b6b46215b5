// SPDX-License-Identifier: MIT OR Apache-2.0
// Writing a file that others read at any time.
#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/result.h"

namespace pleat {

// Makes `path` a file with that text and mode, whatever the umask: a reader sees the old file or
// the new one, never a part. `unfinished` is where it is written first, in the same folder; nothing
// is left there.
Result<void> replace_file(const std::string& path, const std::string& unfinished,
                          std::string_view text, mode_t mode);

}  // namespace pleat
