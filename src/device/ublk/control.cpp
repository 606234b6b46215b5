// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/ublk/control.h"

#include <fcntl.h>

#include <cerrno>
#include <span>
#include <string>
#include <utility>

#include "device/ublk/module.h"

namespace pleat::device::ublk {
namespace {

constexpr const char* kControlPath = "/dev/ublk-control";
constexpr unsigned kTimeoutMs = 5000;
// STOP_DEV, joining the queues and DEL_DEV together stay within the 10 s of Transport::stop().
constexpr unsigned kStopTimeoutMs = 4000;
constexpr unsigned kDeleteTimeoutMs = 1500;
constexpr unsigned kConfirmTimeoutMs = 500;

template <typename T>
std::span<std::byte> bytes_of(T& object) {
  static_assert(sizeof(T) <= CommandRing::kPayloadBytesMax);
  return std::as_writable_bytes(std::span<T, 1>(&object, 1));
}

Error command_error(const char* action, unsigned id, int answer) {
  const std::string what = std::string("cannot ") + action + " ublk device " + std::to_string(id);
  if (answer == -ETIMEDOUT) {
    return Error{ETIMEDOUT, what +
                                ": the ublk driver did not answer in time; see dmesg, and look for "
                                "what still uses the device"};
  }
  if (answer == -EPERM || answer == -EACCES) {
    return errno_error(-answer, what + " (run as root)");
  }
  return errno_error(-answer, what);
}

Error add_error(const DeviceInfo& wanted, int answer) {
  const std::string number =
      wanted.dev_id == kAnyDevice ? "any number" : "number " + std::to_string(wanted.dev_id);
  switch (-answer) {
    case EEXIST:
      return Error{EEXIST, "ublk device " + number + " is taken; choose another or none"};
    case EACCES:  // ublks_max devices exist; newer kernels count unprivileged ones (80bdfbb3545b)
      return Error{EACCES,
                   "all ublk devices that the driver allows are in use; remove one or raise "
                   "/sys/module/ublk_drv/parameters/ublks_max"};
    case EPERM:
      return Error{EPERM, "cannot add a ublk device: no permission; run as root"};
    case EINVAL:
      return Error{EINVAL, "the ublk driver refuses a device with " + number + ", " +
                               std::to_string(wanted.nr_hw_queues) + " queues and " +
                               std::to_string(wanted.queue_depth) + " tags"};
    case ETIMEDOUT:
      return Error{ETIMEDOUT, "the ublk driver did not add a device in time; see dmesg"};
    default:
      return errno_error(-answer, "cannot add a ublk device with " + number);
  }
}

}  // namespace

Result<Control> Control::open(Encoding newest) {
  UniqueFd file(::open(kControlPath, O_RDWR | O_CLOEXEC));
  if (!file && (errno == ENOENT || errno == ENODEV || errno == ENXIO)) {
    load_driver_module();
    file.reset(::open(kControlPath, O_RDWR | O_CLOEXEC));
  }
  if (!file) {
    const int error = errno;
    if (error == ENOENT || error == ENODEV || error == ENXIO) {
      return Error{error,
                   "this kernel has no ublk driver loaded (no /dev/ublk-control); load it "
                   "(modprobe ublk_drv, Linux 6.0 and later) or use the loop transport"};
    }
    return errno_error(error, std::string("cannot open ") + kControlPath + " (run as root)");
  }
  auto ring = CommandRing::open(file.get());
  if (!ring) return std::move(ring).error();
  Control control(std::move(file), *std::move(ring));
  if (auto found = control.find_encoding(newest); !found) return std::move(found).error();
  return control;
}

// GET_FEATURES exists in the ioctl encoding only (6.5), so a driver that answers takes that. Of one
// that does not, a question about a device that cannot exist tells a missing permission (EPERM) and
// the legacy opcodes (ENODEV) from a driver that takes neither.
Result<void> Control::find_encoding(Encoding newest) {
  int answer = -EOPNOTSUPP;
  if (newest == Encoding::kIoctl) {
    encoding_ = Encoding::kIoctl;
    answer = run(Command::kGetFeatures, kAnyDevice, bytes_of(features_), 0, kTimeoutMs);
    if (answer >= 0) return {};
  }
  if (answer != -ETIMEDOUT && answer != -EPERM && answer != -EACCES) {
    constexpr unsigned kNoSuchDevice = 0x7fffffff;
    for (const Encoding encoding : {Encoding::kLegacy, Encoding::kIoctl}) {
      encoding_ = encoding;
      DeviceInfo info{};
      answer = run(Command::kGetDevInfo, kNoSuchDevice, bytes_of(info), 0, kTimeoutMs);
      if (answer == -ENODEV || answer == -EINVAL) return {};
      if (answer != -EOPNOTSUPP || newest == Encoding::kLegacy) break;
    }
  }
  if (answer == -EPERM || answer == -EACCES) {
    return Error{-answer, "no permission for ublk control commands; run as root (CAP_SYS_ADMIN)"};
  }
  if (answer == -ETIMEDOUT) {
    return Error{ETIMEDOUT, "the ublk driver does not answer; see dmesg"};
  }
  return errno_error(-answer, "the ublk driver answers neither of the command encodings we know");
}

int Control::run(Command command, unsigned id, std::span<std::byte> payload, std::uint64_t data,
                 unsigned timeout_ms) noexcept {
  ControlCommand message{};
  message.dev_id = id;
  message.queue_id = kNoQueue;
  message.data[0] = data;
  return ring_.run(opcode(command, encoding_), message, payload, timeout_ms);
}

Result<DeviceInfo> Control::add_device(const DeviceInfo& wanted) {
  DeviceInfo info = wanted;
  const int answer = run(Command::kAddDev, wanted.dev_id, bytes_of(info), 0, kTimeoutMs);
  if (answer < 0) return add_error(wanted, answer);
  return info;
}

Result<void> Control::set_params(unsigned id, Params params) {
  const int answer = run(Command::kSetParams, id, bytes_of(params), 0, kTimeoutMs);
  if (answer < 0) return command_error("set the parameters of", id, answer);
  return {};
}

Result<cpu_set_t> Control::queue_affinity(unsigned id, unsigned queue) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  const int answer = run(Command::kGetQueueAffinity, id, bytes_of(cpus), queue, kTimeoutMs);
  if (answer < 0) return command_error("ask for the processors of", id, answer);
  return cpus;
}

Result<void> Control::start_device(unsigned id, pid_t server) {
  const int answer =
      run(Command::kStartDev, id, {}, static_cast<std::uint64_t>(server), kTimeoutMs);
  if (answer < 0) return command_error("start", id, answer);
  return {};
}

Result<void> Control::update_size(unsigned id, std::uint64_t sectors) {
  if ((features_ & kFlagUpdateSize) == 0) {
    return Error{EOPNOTSUPP,
                 "this kernel's ublk cannot change the size of a device (Linux 6.16 and later "
                 "can); make a new one"};
  }
  const int answer = run(Command::kUpdateSize, id, {}, sectors, kTimeoutMs);
  if (answer < 0) return command_error("change the size of", id, answer);
  return {};
}

int Control::start_recovery(unsigned id) noexcept {
  const int answer = run(Command::kStartUserRecovery, id, {}, 0, kTimeoutMs);
  return answer < 0 ? -answer : 0;
}

int Control::end_recovery(unsigned id, pid_t server) noexcept {
  const int answer =
      run(Command::kEndUserRecovery, id, {}, static_cast<std::uint64_t>(server), kTimeoutMs);
  return answer < 0 ? -answer : 0;
}

Result<DeviceInfo> Control::device_info(unsigned id) {
  DeviceInfo info{};
  const int answer = run(Command::kGetDevInfo, id, bytes_of(info), 0, kTimeoutMs);
  if (answer < 0) return command_error("ask about", id, answer);
  return info;
}

Result<void> Control::stop_device(unsigned id) {
  const int answer = run(Command::kStopDev, id, {}, 0, kStopTimeoutMs);
  if (answer < 0 && answer != -ENODEV) return command_error("stop", id, answer);
  return {};
}

// DEL_DEV removes the device and then waits until its number is free, which takes the last close of
// /dev/ublkbN and /dev/ublkcN. A wait that is too long is cancelled. That leaves the device
// removed, and DEL_DEV_ASYNC, which does not wait, confirms it.
Result<void> Control::delete_device(unsigned id) {
  int answer = run(Command::kDelDev, id, {}, 0, kDeleteTimeoutMs);
  if (answer == -ETIMEDOUT && encoding_ == Encoding::kIoctl) {
    const int confirmed = run(Command::kDelDevAsync, id, {}, 0, kConfirmTimeoutMs);
    if (confirmed >= 0 || confirmed == -ENODEV) answer = 0;
  }
  if (answer < 0 && answer != -ENODEV) return command_error("delete", id, answer);
  return {};
}

}  // namespace pleat::device::ublk
