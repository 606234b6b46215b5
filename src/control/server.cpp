// SPDX-License-Identifier: MIT OR Apache-2.0
// The daemon's end of the socket: one thread that polls the listening socket and every connection,
// so that a slow client keeps nobody waiting but itself. Only the handler may take its time.
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <nlohmann/json.hpp>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/event.h"
#include "base/unique_fd.h"
#include "control/connection.h"
#include "control/deadline.h"
#include "control/listener.h"
#include "control/socket.h"

namespace pleat::control {
namespace {

using nlohmann::json;

// Beyond this many the oldest connection gives way, so that a crowd of silent clients cannot shut
// others out. Fewer are accepted in one round, so each is looked at before it can be the oldest.
constexpr std::size_t kConnectionsMax = 32;
constexpr std::size_t kAcceptedPerRoundMax = 16;
// How long the end of service waits for clients to take their last answers.
constexpr unsigned kLinger_ms = 1000;

std::string to_line(const json& answer) {
  return answer.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string error_line(const Error& error) {
  return to_line(json{{"ok", false}, {"code", error.code}, {"error", error.message}});
}

// Who may talk to the daemon: root and the daemon's own user. The socket's mode says the same; this
// holds also where somebody has changed that.
bool may_talk(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

class PollingServer final : public Server {
 public:
  PollingServer(Listener listener, UniqueFd stop_event, Handler handler)
      : listener_(std::move(listener)),
        stop_event_(std::move(stop_event)),
        handler_(std::move(handler)),
        thread_([this] { run(); }) {}

  ~PollingServer() override {
    stopping_.store(true);
    raise_event(stop_event_.get());
    thread_.join();
  }

 private:
  void run() {
    // Signals are for the daemon's main thread.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    while (!stopping_.load()) {
      std::vector<pollfd> entries = poll_entries();
      if (poll(entries.data(), entries.size(), poll_timeout_ms()) < 0 && errno != EINTR) {
        // Only a lack of kernel memory brings poll() here; the next round may have some.
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        continue;
      }
      serve_connections(entries);
      if ((entries[1].revents & POLLIN) != 0) accept_connections();
    }
    flush_connections();
  }

  // The stop event, the listening socket, then the connections in their order.
  std::vector<pollfd> poll_entries() const {
    std::vector<pollfd> entries = {{stop_event_.get(), POLLIN, 0}, {listener_.fd(), POLLIN, 0}};
    for (const Connection& connection : connections_) {
      entries.push_back({connection.fd(), connection.events(), 0});
    }
    return entries;
  }

  int poll_timeout_ms() const {
    int timeout_ms = -1;
    for (const Connection& connection : connections_) {
      // A line that is here already needs no event of the socket.
      const bool ready = connection.has_line() && !connection.has_unsent();
      const int left_ms = ready ? 0 : connection.deadline().left_ms();
      timeout_ms = timeout_ms < 0 ? left_ms : std::min(timeout_ms, left_ms);
    }
    return timeout_ms;
  }

  void serve_connections(const std::vector<pollfd>& entries) {
    const Connection::Answer answer = [this](std::string_view line,
                                             std::span<const UniqueFd> files) {
      return answer_to(line, files);
    };
    std::vector<Connection> kept;
    kept.reserve(connections_.size());
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      Connection& connection = connections_[i];
      bool goes_on = true;
      if (entries[i + 2].revents != 0) {
        goes_on = connection.serve(answer);
      } else if (!connection.has_unsent() && connection.has_line()) {
        goes_on = connection.serve_buffered(answer);
      }
      if (goes_on && !connection.deadline().passed()) kept.push_back(std::move(connection));
    }
    connections_ = std::move(kept);
  }

  void accept_connections() {
    for (std::size_t accepted = 0; accepted < kAcceptedPerRoundMax; ++accepted) {
      UniqueFd fd(accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) {
        // Out of descriptors or memory, the waiting client would keep poll() from sleeping.
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return;
      }
      const bool allowed = may_talk(fd.get());
      Connection connection(std::move(fd));
      if (!allowed) {
        connection.refuse(error_line({EACCES, "only root may talk to this device's daemon"}));
        continue;
      }
      if (connections_.size() >= kConnectionsMax) connections_.erase(connections_.begin());
      connections_.push_back(std::move(connection));
    }
  }

  std::string answer_to(std::string_view line, std::span<const UniqueFd> files) {
    const json request = json::parse(line, nullptr, false);
    if (!request.is_object()) {
      return error_line({EINVAL, "the request is no JSON object on one line"});
    }
    try {
      const Result<json> answer = handler_(request, files);
      return answer ? to_line(*answer) : error_line(answer.error());
    } catch (const std::exception& exception) {
      // A key of the wrong type ends here: the JSON library throws where the handler reads it.
      return error_line(
          {EINVAL, std::string("the request is not understood: ") + exception.what()});
    }
  }

  // The last answer, that to "stop" as a rule, may still be on its way.
  void flush_connections() {
    const Deadline deadline(kLinger_ms);
    for (Connection& connection : connections_) {
      while (connection.has_unsent() && wait_for(connection.fd(), POLLOUT, deadline) &&
             connection.flush()) {
      }
    }
    connections_.clear();
  }

  Listener listener_;
  UniqueFd stop_event_;
  Handler handler_;
  std::atomic<bool> stopping_{false};
  std::vector<Connection> connections_;  // oldest first; the thread's alone
  std::thread thread_;                   // last, so that it starts with everything else in place
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const std::string& name, Handler handler) {
  Result<Listener> listener = Listener::open(name);
  if (!listener) return listener.error();
  UniqueFd stop_event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_event) return errno_error("cannot make an eventfd");
  return std::unique_ptr<Server>(std::make_unique<PollingServer>(
      std::move(*listener), std::move(stop_event), std::move(handler)));
}

}  // namespace pleat::control
