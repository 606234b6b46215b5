// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/log.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace pleat::daemon {

namespace {

constexpr std::size_t kLineBytesMax = 1024;
// poll() reports a pipe as writable when a write of PIPE_BUF bytes would not wait (pipe(7)).
static_assert(kLineBytesMax <= 4096);

// Whether stderr is the journal's socket: JOURNAL_STREAM holds its device and inode
// (systemd.exec(5)).
bool stderr_is_journal() noexcept {
  const char* const stream = std::getenv("JOURNAL_STREAM");
  if (stream == nullptr) return false;
  unsigned long long device = 0;
  unsigned long long inode = 0;
  if (std::sscanf(stream, "%llu:%llu", &device, &inode) != 2) return false;  // NOLINT(cert-err34-c)
  struct stat status {};
  return fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

}  // namespace

void log_line(LogLevel level, std::string_view text) noexcept {
  char line[kLineBytesMax];
  const int text_bytes = static_cast<int>(text.size() < sizeof(line) ? text.size() : sizeof(line));
  const int made =
      stderr_is_journal()
          ? std::snprintf(line, sizeof(line), "<%d>%.*s\n", static_cast<int>(level), text_bytes,
                          text.data())
          : std::snprintf(line, sizeof(line), "pleatd: %.*s\n", text_bytes, text.data());
  if (made <= 0) return;
  std::size_t size = static_cast<std::size_t>(made);
  if (size >= sizeof(line)) {
    size = sizeof(line) - 1;
    line[size - 1] = '\n';
  }
  pollfd entry{STDERR_FILENO, POLLOUT, 0};
  if (poll(&entry, 1, 0) != 1 || (entry.revents & POLLOUT) == 0) return;
  // A socket is told not to wait; a pipe has room, as poll() said; files and terminals take a line.
  if (send(STDERR_FILENO, line, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ENOTSOCK) {
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, size);
  }
}

}  // namespace pleat::daemon
