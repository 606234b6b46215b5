// SPDX-License-Identifier: MIT OR Apache-2.0
// One client of a server: bytes and descriptors in, whole lines out to the handler, answers back,
// never waiting.
#pragma once

#include <sys/types.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "control/deadline.h"

namespace pleat::control {

class Connection {
 public:
  // A line with its newline is at most this long; so is what is kept of an unfinished one.
  static constexpr std::size_t kLineBytesMax = std::size_t{64} << 10;
  // A client that has not completed a line, or not taken its answer, for so long is dropped.
  static constexpr unsigned kTimeout_ms = 5000;

  // Descriptors that may come with a line; further ones are closed.
  static constexpr std::size_t kFilesMax = 2;

  // Turns a request line without its newline, and the descriptors that came since the last one,
  // into an answer line with a newline. They are closed afterwards.
  using Answer = std::function<std::string(std::string_view line, std::span<const UniqueFd> files)>;

  // `fd` is a connected, non-blocking socket.
  explicit Connection(UniqueFd fd) : fd_(std::move(fd)), deadline_(kTimeout_ms) {}

  int fd() const noexcept { return fd_.get(); }
  // The poll() events it waits for: while an answer is unsent, no more is read from its client, so
  // that neither buffer grows without bound.
  short events() const noexcept;
  const Deadline& deadline() const noexcept { return deadline_; }
  bool has_unsent() const noexcept { return !output_.empty(); }

  // Reads what has come, answers at most one line, and sends what goes without waiting. Whether the
  // connection goes on.
  bool serve(const Answer& answer);
  // Answers the next whole line that is here already, if there is one. Whether the connection goes
  // on.
  bool serve_buffered(const Answer& answer);
  bool has_line() const noexcept { return input_.find('\n') != std::string::npos; }
  // Sends what goes without waiting. Whether the connection goes on.
  bool flush();
  // Sends an answer and gives the connection up: for a client that is refused.
  void refuse(const std::string& answer);

 private:
  bool receive();
  // As recv(); takes descriptors as well.
  ssize_t receive_bytes(std::span<char> bytes);

  UniqueFd fd_;
  Deadline deadline_;
  std::string input_;
  std::string output_;
  std::vector<UniqueFd> files_;
  bool ended_ = false;  // the client sends no more
};

}  // namespace pleat::control
