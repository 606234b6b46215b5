// SPDX-License-Identifier: MIT OR Apache-2.0
// The tool's end of the socket: one connection, one request, one answer.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "control/deadline.h"
#include "control/paths.h"
#include "control/socket.h"

namespace pleat::control {
namespace {

// Far above any status; bounds what a foreign server can make the tool allocate.
constexpr std::size_t kAnswerBytesMax = std::size_t{1} << 20;

Result<UniqueFd> connect_to(const std::string& name, const Deadline& deadline) {
  const Result<sockaddr_un> address = socket_address(name);
  if (!address) return address.error();
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno_error("cannot make a socket");
  while (true) {
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) == 0) {
      return fd;
    }
    // EAGAIN: the daemon's queue of connections is full; it can be waited for in no better way.
    if (errno != EAGAIN && errno != EINTR) break;
    if (deadline.passed()) return errno_error(ETIMEDOUT, "the daemon of " + name + " is busy");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (errno == ENOENT) return Error{ENOENT, "no device " + name + "; see pleat list"};
  if (errno == ECONNREFUSED) {
    return Error{ECONNREFUSED,
                 "the daemon of " + name + " is dead; 'pleat remove " + name + "' cleans up"};
  }
  return errno_error("cannot reach the daemon of " + name);
}

// As send(); `files` go with the bytes.
ssize_t send_bytes(int fd, std::string_view bytes, std::span<const int> files) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  std::vector<char> control(files.empty() ? 0 : CMSG_SPACE(files.size_bytes()));
  if (!files.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(files.size_bytes());
    std::memcpy(CMSG_DATA(header), files.data(), files.size_bytes());
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL);
}

Result<void> send_line(int fd, std::string_view line, std::span<const int> files,
                       const Deadline& deadline) {
  std::size_t sent = 0;
  while (sent < line.size()) {
    const ssize_t count =
        send_bytes(fd, line.substr(sent), sent == 0 ? files : std::span<const int>());
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      if (Result<void> ready = wait_for(fd, POLLOUT, deadline); !ready) return ready;
    } else if (errno != EINTR) {
      return errno_error("cannot send the request");
    }
  }
  return {};
}

Result<std::string> receive_line(int fd, const Deadline& deadline) {
  std::string line;
  while (line.size() <= kAnswerBytesMax) {
    std::array<char, 4096> chunk;
    const ssize_t count = recv(fd, chunk.data(), chunk.size(), 0);
    if (count > 0) {
      line.append(chunk.data(), static_cast<std::size_t>(count));
      const std::size_t end = line.find('\n');
      if (end != std::string::npos) return line.substr(0, end);
    } else if (count == 0) {
      return Error{ECONNRESET, "the daemon ended the connection without an answer"};
    } else if (errno == EAGAIN) {
      if (Result<void> ready = wait_for(fd, POLLIN, deadline); !ready) return ready.error();
    } else if (errno != EINTR) {
      return errno_error("cannot read the answer");
    }
    // A daemon that trickles bytes must not hold the caller longer than one that is silent.
    if (deadline.passed()) return errno_error(ETIMEDOUT, "no whole answer");
  }
  return Error{EBADMSG, "the answer is longer than 1 MiB"};
}

Result<nlohmann::json> parse_answer(const std::string& line) {
  nlohmann::json answer = nlohmann::json::parse(line, nullptr, false);
  const Error malformed{EBADMSG, "the daemon's answer is not understood"};
  if (!answer.is_object()) return malformed;
  const auto ok = answer.find("ok");
  if (ok == answer.end() || !ok->is_boolean()) return malformed;
  if (ok->get<bool>()) return answer;
  const auto code = answer.find("code");
  const auto error = answer.find("error");
  if (code == answer.end() || !code->is_number_integer() || error == answer.end() ||
      !error->is_string()) {
    return malformed;
  }
  return Error{code->get<int>(), error->get<std::string>()};
}

}  // namespace

Result<nlohmann::json> call(const std::string& name, const nlohmann::json& request,
                            unsigned timeout_ms, std::span<const int> files) {
  const Deadline deadline(timeout_ms);
  const Result<UniqueFd> fd = connect_to(name, deadline);
  if (!fd) return fd.error();
  const std::string line =
      request.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const std::string context = "device " + name;
  // A server that refuses the peer answers and closes without reading, so the answer is worth
  // reading also where the request could not be sent.
  const Result<void> sent = send_line(fd->get(), line, files, deadline);
  if (!sent && sent.error().code != EPIPE && sent.error().code != ECONNRESET)
    return with_context(sent.error(), context);
  const Result<std::string> answer = receive_line(fd->get(), deadline);
  if (!answer) return with_context(answer.error(), context);
  return parse_answer(*answer);
}

}  // namespace pleat::control
