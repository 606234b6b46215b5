// SPDX-License-Identifier: MIT OR Apache-2.0
#include "control/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace pleat::control {

short Connection::events() const noexcept { return has_unsent() ? POLLOUT : POLLIN; }

bool Connection::serve(const Answer& answer) {
  if (has_unsent()) return flush();
  if (!receive()) return false;
  return serve_buffered(answer);
}

bool Connection::serve_buffered(const Answer& answer) {
  const std::size_t end = input_.find('\n');
  // A line that never ended gets no answer: its client is gone or half gone.
  if (end == std::string::npos) return !ended_;
  const std::string line = input_.substr(0, end);
  input_.erase(0, end + 1);
  output_ = answer(line, files_);
  files_.clear();
  deadline_ = Deadline(kTimeout_ms);
  return flush() && !(ended_ && !has_unsent() && !has_line());
}

bool Connection::receive() {
  std::array<char, 4096> chunk;
  // What is kept stays below the bound whatever comes in at once; the rest waits in the socket.
  while (!has_line()) {
    const ssize_t count = receive_bytes(chunk);
    if (count > 0) {
      input_.append(chunk.data(), static_cast<std::size_t>(count));
      const std::size_t end = input_.find('\n');
      const std::size_t line_bytes = end == std::string::npos ? input_.size() : end + 1;
      if (line_bytes > kLineBytesMax) {
        refuse("{\"ok\":false,\"code\":" + std::to_string(EMSGSIZE) +
               ",\"error\":\"the request is longer than 64 KiB\"}\n");
        return false;
      }
    } else if (count == 0) {
      ended_ = true;
      return true;
    } else if (errno == EAGAIN) {
      return true;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

ssize_t Connection::receive_bytes(std::span<char> bytes) {
  iovec part{bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kFilesMax * sizeof(int))> control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = recvmsg(fd_.get(), &message, MSG_CMSG_CLOEXEC);
  if (count < 0) return count;
  for (cmsghdr* part_of = CMSG_FIRSTHDR(&message); part_of != nullptr;
       part_of = CMSG_NXTHDR(&message, part_of)) {
    if (part_of->cmsg_level != SOL_SOCKET || part_of->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t files = (part_of->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < files; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part_of) + i * sizeof(int), sizeof(fd));
      UniqueFd file(fd);
      if (files_.size() < kFilesMax) files_.push_back(std::move(file));
    }
  }
  return count;
}

bool Connection::flush() {
  while (!output_.empty()) {
    const ssize_t count = send(fd_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
    if (count > 0) {
      output_.erase(0, static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      return true;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

void Connection::refuse(const std::string& answer) {
  output_ = answer;
  flush();
}

}  // namespace pleat::control
