// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/spawner.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "daemon/log.h"

namespace pleat::daemon {

Result<StandByEvents> make_stand_by_events() {
  StandByEvents events;
  const auto make = [](UniqueFd& event) {
    event.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return static_cast<bool>(event);
  };
  bool good = make(events.logged);
  for (UniqueFd& event : events.wanted) good = good && make(event);
  for (UniqueFd& event : events.go) good = good && make(event);
  if (!good) return errno_error("cannot make an eventfd");
  return events;
}

std::optional<int> run_spawner(const StandByEvents& events, const Bulletin& bulletin,
                               const UniqueFd& guardian,
                               const std::function<int(unsigned slot)>& stand_by) {
  while (true) {
    std::array<pollfd, kStandBys + 1> entries;
    for (unsigned slot = 0; slot < kStandBys; ++slot) {
      entries[slot] = {events.wanted[slot].get(), POLLIN, 0};
    }
    entries[kStandBys] = {guardian.get(), POLLIN, 0};
    if (poll(entries.data(), entries.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return 1;
    }
    if (bulletin.is_over) return 0;
    if (entries[kStandBys].revents != 0) return std::nullopt;
    for (unsigned slot = 0; slot < kStandBys; ++slot) {
      std::uint64_t count = 0;
      if (read(events.wanted[slot].get(), &count, sizeof(count)) != sizeof(count)) continue;
      const pid_t between = fork();
      if (between == 0) {
        // Its parent ends at once, so that the guardian becomes the parent.
        const pid_t child = fork();
        if (child == 0) return stand_by(slot);
        _exit(child < 0 ? 1 : 0);
      }
      if (between > 0) waitpid(between, nullptr, 0);
    }
  }
}

int run_logger(const StandByEvents& events, const Bulletin& bulletin, int reports) {
  unsigned printed = 0;
  while (true) {
    std::array<pollfd, 2> entries = {{{reports, POLLIN, 0}, {events.logged.get(), POLLIN, 0}}};
    if (poll(entries.data(), entries.size(), -1) < 0) continue;
    std::uint64_t raised = 0;
    [[maybe_unused]] const ssize_t size = read(events.logged.get(), &raised, sizeof(raised));
    const unsigned end = bulletin.logged.load(std::memory_order_acquire);
    if (end - printed > Bulletin::kLines) printed = end - Bulletin::kLines;
    for (; printed != end; ++printed) {
      const LoggedLine& line = bulletin.lines[printed % Bulletin::kLines];
      log_line(static_cast<LogLevel>(line.level), line.text);
    }
    if (entries[0].revents != 0) return 0;
  }
}

}  // namespace pleat::daemon
