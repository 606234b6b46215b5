// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/ublk/ublk_transport.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/page.h"
#include "device/ublk/ownership.h"

namespace pleat::device::ublk {
namespace {

// Plain copy pins a buffer for every tag; this bounds them for a queue (the spare tag's comes on
// top). With USER_COPY the size of a request costs nothing.
constexpr std::uint32_t kPlainCopyBytesMax = 2u << 20;
constexpr std::uint32_t kUserCopyRequestBytes = 1u << 20;
static_assert(kUserCopyRequestBytes <= kUserCopyBytesMax);
// A discard holds up the requests behind it; this many slots take a millisecond or so.
constexpr std::uint32_t kDiscardSectorsMax = (256u << 20) / kSectorSize;
constexpr unsigned kReadyTimeoutMs = 5000;
constexpr unsigned kJoinTimeoutMs = 1000;
// Mostly the driver lets go of a dead server within 40 ms; where only a time-out makes it look, in
// 2 seconds (set_queue_limits()), and without that in 30.
constexpr std::uint64_t kRecoveryTimeoutNs = 60'000'000'000;
// A queue is stuck that has given no sign of life when it was looked at so many times. It has one
// between any two requests, the longest of which wait half a second for memory.
constexpr unsigned kSilenceMax = 25;
// Each try takes the processor from the kernel thread that it waits for.
constexpr long kRecoveryRetryNs = 2'000'000;

std::uint8_t shift_of(std::size_t power_of_two) {
  return static_cast<std::uint8_t>(std::bit_width(power_of_two) - 1);
}

std::uint32_t plain_copy_request_bytes(unsigned depth) {
  return std::max<std::uint32_t>(kPageSize, std::bit_floor(kPlainCopyBytesMax / depth));
}

bool write_file(const std::string& path, const std::string& text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace

Result<std::unique_ptr<Transport>> UblkTransport::start(Control control, store::Store& store,
                                                        const TransportOptions& options) {
  if (options.block_bytes != kSectorSize && options.block_bytes != kPageSize) {
    return Error{EINVAL, "the block size of a ublk device is 512 or 4096 bytes"};
  }
  if (options.queues == 0 || options.queues > UINT16_MAX) {
    return Error{EINVAL, "a ublk device has 1 to 65535 queues"};
  }
  if (options.depth == 0 || options.depth > kQueueDepthMax) {
    return Error{EINVAL, "a ublk queue has a depth of 1 to " + std::to_string(kQueueDepthMax)};
  }
  // From here on the destructor undoes what was done.
  std::unique_ptr<UblkTransport> transport(new UblkTransport(std::move(control)));
  if (auto done = transport->add_device(options); !done) return std::move(done).error();
  if (auto done = transport->set_params(store, options); !done) return std::move(done).error();
  if (auto done = transport->open_char_device(); !done) return std::move(done).error();
  if (auto done = transport->make_ended_event(); !done) return std::move(done).error();
  if (auto done = transport->prepare_queues(store, options); !done) return std::move(done).error();
  if (auto done = transport->begin_queues(); !done) return std::move(done).error();
  if (auto done = transport->start_device(); !done) return std::move(done).error();
  transport->set_queue_limits();
  return std::unique_ptr<Transport>(std::move(transport));
}

Result<std::unique_ptr<Transport>> UblkTransport::stand_by(Control control, store::Store& store,
                                                           const TransportOptions& options,
                                                           int id) {
  std::unique_ptr<UblkTransport> transport(new UblkTransport(std::move(control)));
  auto device = transport->control_.device_info(static_cast<unsigned>(id));
  if (!device) return std::move(device).error();
  transport->device_ = *device;
  transport->describe(device->flags);
  if (!transport->info_.recoverable) {
    return Error{EOPNOTSUPP, transport->info_.path + " cannot be taken over by another process"};
  }
  if (auto done = transport->make_ended_event(); !done) return std::move(done).error();
  if (auto done = transport->prepare_queues(store, options); !done) return std::move(done).error();
  return std::unique_ptr<Transport>(std::move(transport));
}

UblkTransport::~UblkTransport() {
  // Whoever wants to know of a failure calls stop() first.
  static_cast<void>(stop());
}

// Nothing here allocates: the system may have no memory until this device serves again.
Result<void> UblkTransport::take_over() {
  int error = control_.start_recovery(device_.dev_id);
  for (const std::uint64_t end_ns = monotonic_ns() + kRecoveryTimeoutNs;
       error == EBUSY && monotonic_ns() < end_ns;) {
    const timespec pause{0, kRecoveryRetryNs};
    nanosleep(&pause, nullptr);
    error = control_.start_recovery(device_.dev_id);
  }
  if (error != 0) return errno_error(error, "cannot take over " + info_.path);
  // Opened only now: a stand-by that has it open would keep the recovery from starting.
  if (auto opened = open_char_device(); !opened) return opened;
  added_ = true;
  if (auto begun = begin_queues(); !begun) return begun;
  error = control_.end_recovery(device_.dev_id, getpid());
  if (error != 0) return errno_error(error, "cannot end the recovery of " + info_.path);
  return {};
}

Result<void> UblkTransport::resize(std::uint64_t bytes) {
  return control_.update_size(device_.dev_id, bytes / kSectorSize);
}

bool UblkTransport::is_stuck() noexcept {
  if (!has_requests()) return false;
  // All of them are asked each time.
  unsigned longest = 0;
  for (const auto& queue : queues_) longest = std::max(longest, queue->silence());
  return longest > kSilenceMax;
}

// Whether the disk has requests that are with its driver. A file that stays open is read without an
// allocation.
bool UblkTransport::has_requests() noexcept {
  char text[64];
  if (!inflight_) {
    std::snprintf(text, sizeof(text), "/sys/block/ublkb%u/inflight", device_.dev_id);
    inflight_.reset(open(text, O_RDONLY | O_CLOEXEC));
  }
  const ssize_t length = inflight_ ? pread(inflight_.get(), text, sizeof(text), 0) : 0;
  return std::any_of(text, text + std::max<ssize_t>(length, 0),
                     [](char digit) { return digit >= '1' && digit <= '9'; });
}

Result<void> UblkTransport::add_device(const TransportOptions& options) {
  DeviceInfo wanted{};
  wanted.nr_hw_queues = static_cast<std::uint16_t>(options.queues);
  // One tag more than is used: set_queue_limits() says why.
  wanted.queue_depth = static_cast<std::uint16_t>(std::min(options.depth + 1, kQueueDepthMax));
  wanted.dev_id = options.id < 0 ? kAnyDevice : static_cast<std::uint32_t>(options.id);
  wanted.ublksrv_flags = ownership(options.owner != 0 ? options.owner : getpid());
  if (control_.encoding() == Encoding::kIoctl) wanted.flags |= kFlagCmdIoctlEncode;
  wanted.flags |= control_.features() & (kFlagNoAutoPartScan | kFlagUpdateSize);
  if (options.user_copy) wanted.flags |= control_.features() & kFlagUserCopy;
  // Without USER_COPY the driver itself copies what was read, at the moment of the commit, and
  // fails the request where the server dies in it.
  if ((wanted.flags & kFlagUserCopy) != 0) {
    wanted.flags |= control_.features() & (kFlagUserRecovery | kFlagUserRecoveryReissue);
  }
  wanted.max_io_buf_bytes = (wanted.flags & kFlagUserCopy) != 0
                                ? kUserCopyRequestBytes
                                : plain_copy_request_bytes(options.depth);
  auto granted = control_.add_device(wanted);
  if (!granted) return std::move(granted).error();
  device_ = *granted;
  added_ = true;

  // The flags that we asked for and the driver echoed; it may set others for its own use.
  describe(device_.flags & wanted.flags);
  return {};
}

void UblkTransport::describe(std::uint64_t flags) {
  info_.kind = TransportKind::kUblk;
  info_.id = static_cast<int>(device_.dev_id);
  info_.path = "/dev/ublkb" + std::to_string(device_.dev_id);
  info_.queues = device_.nr_hw_queues;
  info_.depth = device_.queue_depth - 1u;
  if ((flags & kFlagCmdIoctlEncode) != 0) info_.features.emplace_back("CMD_IOCTL_ENCODE");
  if ((flags & kFlagUserCopy) != 0) info_.features.emplace_back("USER_COPY");
  if ((flags & kFlagNoAutoPartScan) != 0) info_.features.emplace_back("NO_AUTO_PART_SCAN");
  if ((flags & kFlagUpdateSize) != 0) info_.features.emplace_back("UPDATE_SIZE");
  constexpr std::uint64_t kRecovery = kFlagUserCopy | kFlagUserRecovery | kFlagUserRecoveryReissue;
  info_.recoverable = (flags & kRecovery) == kRecovery;
  if (info_.recoverable) info_.features.emplace_back("USER_RECOVERY");
}

Result<void> UblkTransport::set_params(const store::Store& store, const TransportOptions& options) {
  Params params{};
  params.len = sizeof(params);
  params.types = kParamTypeBasic | kParamTypeDiscard;
  // No attribute is set: not rotational, and no volatile cache, for a completed write is in the
  // store; so the block layer sends no flushes.
  params.basic.logical_bs_shift = shift_of(options.block_bytes);
  params.basic.physical_bs_shift = kPageShift;
  params.basic.io_opt_shift = kPageShift;
  params.basic.io_min_shift = kPageShift;
  params.basic.max_sectors = static_cast<std::uint32_t>(device_.max_io_buf_bytes / kSectorSize);
  params.basic.dev_sectors = store.slots() * (kPageSize / kSectorSize);
  params.discard.discard_granularity = kPageSize;
  params.discard.max_discard_sectors = kDiscardSectorsMax;
  params.discard.max_write_zeroes_sectors = kDiscardSectorsMax;
  params.discard.max_discard_segments = 1;
  return control_.set_params(device_.dev_id, params);
}

Result<void> UblkTransport::make_ended_event() {
  ended_event_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ended_event_) return errno_error("cannot make an eventfd");
  return {};
}

Result<void> UblkTransport::open_char_device() {
  char path[32];
  std::snprintf(path, sizeof(path), "/dev/ublkc%u", device_.dev_id);
  char_device_.reset(open(path, O_RDWR | O_CLOEXEC));
  if (!char_device_) return errno_error(std::string("cannot open ") + path);
  return {};
}

Result<void> UblkTransport::prepare_queues(store::Store& store, const TransportOptions& options) {
  QueueConfig config;
  config.ended_fd = ended_event_.get();
  config.device_id = device_.dev_id;
  config.tags = device_.queue_depth;
  config.request_bytes_max = device_.max_io_buf_bytes;
  config.encoding = control_.encoding();
  config.user_copy = (device_.flags & kFlagUserCopy) != 0;
  config.io_flusher = options.io_flusher;
  for (unsigned index = 0; index < device_.nr_hw_queues; ++index) {
    auto cpus = control_.queue_affinity(device_.dev_id, index);
    if (!cpus) return std::move(cpus).error();
    config.index = index;
    if (options.stats != nullptr) config.stats = &options.stats[index];
    config.cpus = *cpus;
    auto queue = Queue::prepare(config, store);
    if (!queue) return std::move(queue).error();
    queues_.push_back(*std::move(queue));
  }
  for (const auto& queue : queues_) {
    if (auto ready = queue->wait_until_prepared(kReadyTimeoutMs); !ready) return ready;
  }
  return {};
}

Result<void> UblkTransport::begin_queues() {
  for (const auto& queue : queues_) {
    if (auto begun = queue->begin(char_device_.get()); !begun) return begun;
  }
  for (const auto& queue : queues_) {
    if (auto ready = queue->wait_until_fetching(kReadyTimeoutMs); !ready) return ready;
  }
  return {};
}

Result<void> UblkTransport::start_device() {
  return control_.start_device(device_.dev_id, getpid());
}

// Leaves one tag unused, and makes a request time out soon. Kernels before 6.16 notice a server's
// death by the commands that wait for a request; where every tag has one, only the block layer's
// time-out makes them look, 30 s later (drivers/block/ublk_drv.c, ublk_timeout()). A request that a
// living server is slow with is not harmed: its timer starts again. Neither is needed for service,
// so a kernel that refuses them is left as it is.
void UblkTransport::set_queue_limits() {
  const std::string folder = "/sys/block/ublkb" + std::to_string(device_.dev_id) + "/queue/";
  write_file(folder + "nr_requests", std::to_string(info_.depth));
  write_file(folder + "io_timeout", "1000");
}

std::vector<const QueueStats*> UblkTransport::queue_stats() const {
  std::vector<const QueueStats*> all;
  for (const auto& queue : queues_) all.push_back(&queue->stats());
  return all;
}

Result<void> UblkTransport::stop() { return stop_claimed(UniqueFd()); }

Result<void> UblkTransport::stop_claimed(UniqueFd claim) {
  if (!added_) {
    // A stand-by whose time did not come, or a start that failed early.
    return join_queues();
  }
  added_ = false;
  // The driver completes every command of the queues, which ends their threads; requests in flight
  // are served before that, so the threads must run until then.
  auto stopped = control_.stop_device(device_.dev_id);
  // The disk is gone, so nobody can open it any more.
  claim.reset();
  auto joined = join_queues();
  // DEL_DEV waits for the last descriptor of /dev/ublkcN, ours included.
  char_device_.reset();
  auto deleted = control_.delete_device(device_.dev_id);
  if (!deleted) return deleted;
  return joined ? stopped : joined;
}

Result<void> UblkTransport::join_queues() {
  const std::uint64_t end_ns = monotonic_ns() + kJoinTimeoutMs * std::uint64_t{1'000'000};
  const auto left_ms = [end_ns] {
    const std::uint64_t now_ns = monotonic_ns();
    return static_cast<unsigned>(end_ns > now_ns ? (end_ns - now_ns) / 1'000'000 : 0);
  };
  bool all = true;
  for (const auto& queue : queues_) all = queue->join(left_ms()) && all;
  if (all) return {};
  for (const auto& queue : queues_) queue->tell_to_end();
  all = true;
  for (auto& queue : queues_) {
    if (queue->join(kJoinTimeoutMs)) continue;
    // A thread that does not come back from the kernel keeps what it uses; only the process's end
    // can end it.
    static_cast<void>(queue.release());
    all = false;
  }
  if (all) return {};
  std::erase(queues_, nullptr);
  return Error{ETIMEDOUT, "a thread of " + info_.path +
                              " did not end; see dmesg, and end this process to be rid of it"};
}

}  // namespace pleat::device::ublk

namespace pleat::device {

Result<void> probe_ublk() {
  auto control = ublk::Control::open();
  if (!control) return std::move(control).error();
  return {};
}

Result<std::unique_ptr<Transport>> stand_by_ublk(store::Store& store,
                                                 const TransportOptions& options, int id) {
  auto control = ublk::Control::open();
  if (!control) return std::move(control).error();
  return ublk::UblkTransport::stand_by(*std::move(control), store, options, id);
}

Result<std::unique_ptr<Transport>> start_ublk(store::Store& store,
                                              const TransportOptions& options) {
  auto control = ublk::Control::open();
  if (!control) return std::move(control).error();
  return ublk::UblkTransport::start(*std::move(control), store, options);
}

}  // namespace pleat::device
