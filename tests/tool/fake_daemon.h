// SPDX-License-Identifier: MIT OR Apache-2.0
// The control socket of a device that is not there: answers with a given status and writes down
// what it is asked.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "control/sample_status.h"
#include "control/socket.h"

namespace pleat::tool {

class FakeDaemon {
 public:
  explicit FakeDaemon(control::DeviceStatus device) : status(std::move(device)) {
    auto server = control::Server::start(
        status.name, [this](const nlohmann::json& request, std::span<const UniqueFd>) {
          return handle(request);
        });
    EXPECT_TRUE(server.has_value()) << server.error().message;
    if (server) server_ = std::move(*server);
  }

  // The requests so far but for "stat".
  std::vector<nlohmann::json> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  // To be changed only while nobody asks.
  control::DeviceStatus status;
  std::optional<Error> refusal;  // of everything but "stat"
  std::uint64_t pages_to_compact = 0;
  std::uint64_t idle_pages = 0;
  std::vector<nlohmann::json> recompressed;  // an answer a request
  std::vector<nlohmann::json> written;       // an answer a request
  std::function<void()> on_stop;             // on the server's thread

 private:
  Result<nlohmann::json> handle(const nlohmann::json& request) {
    const std::string op = request.at("op");
    if (op == "stat") return nlohmann::json{{"ok", true}, {"status", control::to_json(status)}};
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    if (refusal) return *refusal;
    if (op == "stop" && on_stop) on_stop();
    nlohmann::json answer{{"ok", true}};
    if (op == "compact") answer["pages_compacted"] = pages_to_compact;
    if (op == "idle") answer["pages_idle"] = idle_pages;
    if (op == "recompress" || op == "writeback") {
      auto& answers = op == "recompress" ? recompressed : written;
      if (answers.empty()) return Error{ENOMEM, "no more answers"};
      answer.update(answers.front());
      answers.erase(answers.begin());
    }
    return answer;
  }

  mutable std::mutex mutex_;
  std::vector<nlohmann::json> requests_;
  std::unique_ptr<control::Server> server_;  // last, so that it ends first
};

inline control::DeviceStatus status_named(const std::string& name) {
  control::DeviceStatus status = control::sample_status();
  status.name = name;
  return status;
}

// Leaves what a killed daemon leaves: a socket that nobody listens at.
inline void leave_dead_socket(const std::string& name) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = control::socket_path(name);
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
}

}  // namespace pleat::tool
