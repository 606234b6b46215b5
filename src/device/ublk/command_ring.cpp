// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/ublk/command_ring.h"

#include <cerrno>
#include <cstring>

#include "base/clock.h"

namespace pleat::device::ublk {
namespace {

constexpr unsigned kEntries = 4;
constexpr unsigned kCancelTimeoutMs = 500;
// Marks the completion of a cancellation, which nobody waits for.
constexpr std::uint64_t kCancelData = ~std::uint64_t{0};
constexpr std::uint64_t kNsPerMs = 1'000'000;

}  // namespace

void CommandRing::CloseRing::operator()(Channel* channel) const noexcept {
  io_uring_queue_exit(&channel->ring);
  delete channel;
}

Result<CommandRing::ChannelPointer> CommandRing::open_channel() {
  auto channel = std::make_unique<Channel>();
  const int error = -io_uring_queue_init(kEntries, &channel->ring, IORING_SETUP_SQE128);
  if (error == EPERM) {
    return errno_error(error,
                       "cannot make an io_uring; allow it (sysctl kernel.io_uring_disabled=0, and "
                       "the seccomp profile of a container)");
  }
  if (error == ENOSYS || error == EINVAL) {
    return errno_error(error, "ublk needs io_uring commands, which Linux has since 5.19");
  }
  if (error != 0) return errno_error(error, "cannot make an io_uring for ublk");
  return ChannelPointer(channel.release());
}

Result<CommandRing> CommandRing::open(int control_fd) {
  auto channel = open_channel();
  if (!channel) return std::move(channel).error();
  return CommandRing(control_fd, *std::move(channel));
}

int CommandRing::run(std::uint32_t opcode, ControlCommand command, std::span<std::byte> payload,
                     unsigned timeout_ms) noexcept {
  if (!channel_) return -ETIMEDOUT;
  if (payload.size() > kPayloadBytesMax) return -EINVAL;
  if (!payload.empty()) {
    std::memcpy(channel_->payload, payload.data(), payload.size());
    command.addr = reinterpret_cast<std::uintptr_t>(channel_->payload);
    command.len = static_cast<std::uint16_t>(payload.size());
  }
  const int answer = submit_and_wait(opcode, command, timeout_ms);
  if (answer >= 0 && !payload.empty()) {
    std::memcpy(payload.data(), channel_->payload, payload.size());
  }
  return answer;
}

int CommandRing::submit_and_wait(std::uint32_t opcode, const ControlCommand& command,
                                 unsigned timeout_ms) noexcept {
  io_uring_sqe* const sqe = io_uring_get_sqe(&channel_->ring);
  if (sqe == nullptr) return -EBUSY;
  std::memset(sqe, 0, 2 * sizeof(*sqe));  // SQE128
  sqe->opcode = IORING_OP_URING_CMD;
  sqe->fd = control_fd_;
  sqe->cmd_op = opcode;
  sqe->user_data = ++sequence_;
  std::memcpy(&sqe->cmd, &command, sizeof(command));

  const int submitted = io_uring_submit(&channel_->ring);
  if (submitted < 0) return submitted;
  int answer = wait(timeout_ms);
  if (answer != -ETIME) return answer;

  if (io_uring_sqe* const cancel = io_uring_get_sqe(&channel_->ring)) {
    io_uring_prep_cancel64(cancel, sequence_, 0);
    cancel->user_data = kCancelData;
    io_uring_submit(&channel_->ring);
    answer = wait(kCancelTimeoutMs);
    if (answer >= 0) return answer;  // it was done after all
    if (answer != -ETIME) return -ETIMEDOUT;
  }
  abandon();
  return -ETIMEDOUT;
}

int CommandRing::wait(unsigned timeout_ms) noexcept {
  const std::uint64_t end_ns = monotonic_ns() + timeout_ms * kNsPerMs;
  for (;;) {
    const std::uint64_t now_ns = monotonic_ns();
    const std::uint64_t left_ns = end_ns > now_ns ? end_ns - now_ns : 0;
    __kernel_timespec timeout{static_cast<long long>(left_ns / (1000 * kNsPerMs)),
                              static_cast<long long>(left_ns % (1000 * kNsPerMs))};
    io_uring_cqe* cqe = nullptr;
    const int error = io_uring_wait_cqe_timeout(&channel_->ring, &cqe, &timeout);
    if (error == -ETIME || (error != 0 && left_ns == 0)) return -ETIME;
    if (error != 0) continue;  // a signal
    const bool ours = cqe->user_data == sequence_;
    const int answer = cqe->res;
    io_uring_cqe_seen(&channel_->ring, cqe);
    if (ours) return answer;
  }
}

void CommandRing::abandon() noexcept {
  // The ring is closed, so that nothing of it is left once the command ends; its memory stays, for
  // the kernel may still fill the buffer.
  Channel* const lost = channel_.release();
  io_uring_queue_exit(&lost->ring);
  if (auto channel = open_channel()) channel_ = *std::move(channel);
}

}  // namespace pleat::device::ublk
