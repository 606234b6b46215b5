// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/report.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace pleat::daemon {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kReportBytesMax = 8192;
constexpr std::array<std::string_view, 10> kEventNames = {
    "ready",   "standing by", "not standing by", "took over", "failed",
    "refused", "stopping",    "stopped",         "ended",     "said"};

Result<Report> report_from_json(const Json& json) {
  try {
    const auto event = json.at("event").get<std::string>();
    for (std::size_t index = 0; index < kEventNames.size(); ++index) {
      if (event != kEventNames[index]) continue;
      Report report;
      report.event = static_cast<Event>(index);
      report.error = {json.at("code").get<int>(), json.at("error").get<std::string>()};
      report.device.kind = json.at("transport").get<std::string>() == "ublk"
                               ? device::TransportKind::kUblk
                               : device::TransportKind::kLoop;
      report.device.path = json.at("path").get<std::string>();
      report.device.id = json.at("id").get<int>();
      report.device.recoverable = json.at("recoverable").get<bool>();
      report.reason = json.at("reason").get<std::string>();
      report.pid = json.at("pid").get<pid_t>();
      report.slot = json.at("slot").get<unsigned>();
      return report;
    }
  } catch (const Json::exception&) {  // NOLINT(bugprone-empty-catch): said below
  }
  return Error{EBADMSG, "the worker sent a report that is none"};
}

}  // namespace

Result<ReportChannel> make_report_channel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
    return errno_error("cannot make a socket pair");
  }
  return ReportChannel{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

bool send_report(int fd, const Report& report) noexcept {
  try {
    const Json json = {
        {"event", kEventNames[static_cast<std::size_t>(report.event)]},
        {"code", report.error.code},
        {"error", report.error.message},
        {"transport", device::to_string(report.device.kind)},
        {"path", report.device.path},
        {"id", report.device.id},
        {"recoverable", report.device.recoverable},
        {"reason", report.reason},
        {"pid", report.pid},
        {"slot", report.slot},
    };
    const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(text.size());
  } catch (...) {
    return false;
  }
}

Result<Report> receive_report(int fd) {
  std::string text(kReportBytesMax, '\0');
  const ssize_t size = recv(fd, text.data(), text.size(), MSG_DONTWAIT);
  if (size < 0) return errno_error("cannot receive from the worker");
  if (size == 0) return Error{EPIPE, "the worker is gone"};
  text.resize(static_cast<std::size_t>(size));
  return report_from_json(Json::parse(text, nullptr, /*allow_exceptions=*/false));
}

}  // namespace pleat::daemon
