// SPDX-License-Identifier: MIT OR Apache-2.0
// What the worker tells its guardian: one datagram of JSON an event, over a socket pair that also
// shows each side the other's death.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "device/transport.h"

namespace pleat::daemon {

enum class Event {
  kReady,          // the device takes requests; device and reason are set
  kStandingBy,     // a stand-by is prepared; pid and slot are set
  kNotStandingBy,  // a stand-by could not be prepared; error is set
  kTookOver,       // a stand-by serves the device now; pid is set
  kFailed,         // the start failed; error is set
  kRefused,        // a stop was refused; error is set
  kStopping,       // nothing uses the device, and it is being removed
  kStopped,        // the device is gone
  kEnded,          // the device ended by itself; error is set
  kSaid,           // a line for people; error is it, with code 0 where it is good news
};

struct Report {
  Event event = Event::kReady;
  Error error;
  device::TransportInfo device;
  std::string reason;  // why this transport
  pid_t pid = 0;       // of the process that reports
  unsigned slot = 0;   // which of the stand-bys it is or was
};

// Two ends of a socket pair: the guardian's and the worker's.
struct ReportChannel {
  UniqueFd guardian;
  UniqueFd worker;
};
Result<ReportChannel> make_report_channel();

// Sends without waiting. Whether it was taken: not where the guardian is dead.
bool send_report(int fd, const Report& report) noexcept;

// Takes one report without waiting. EAGAIN where there is none, EPIPE where the worker is gone,
// EBADMSG for what is no report.
Result<Report> receive_report(int fd);

}  // namespace pleat::daemon
