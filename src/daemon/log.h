// SPDX-License-Identifier: MIT OR Apache-2.0
// Lines for people on stderr, which is the journal under systemd.
#pragma once

#include <string_view>

namespace pleat::daemon {

// Values of <syslog.h>, which the journal reads as "<3>" in front of a line (sd-daemon(3)).
enum class LogLevel : int { kError = 3, kWarning = 4, kNotice = 5, kInfo = 6 };

// Writes "pleatd: TEXT", or "<N>TEXT" where stderr is the journal. Never waits: where the reader of
// stderr does not keep up the line is dropped, because a daemon that serves swap must not depend on
// a process that may be swapped out. Lines longer than 1 KiB are cut. Any thread, but no I/O thread
// calls it.
void log_line(LogLevel level, std::string_view text) noexcept;

}  // namespace pleat::daemon
