// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/ublk/queue.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/event.h"
#include "base/page.h"
#include "base/process.h"

// linux/io_uring.h: since 5.19 and 6.0.
#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1U << 8)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif

namespace pleat::device::ublk {
namespace {

// Completions are sent at the latest after this many requests: enough that io_uring_enter() costs
// little a request, few enough that the first does not wait long for the last.
constexpr unsigned kBatch = 16;
// With USER_COPY a request goes through the store in pieces of at most this size.
constexpr std::size_t kChunkBytes = std::size_t{64} << 10;
static_assert(kChunkBytes % kPageSize == 0);
// The thread's calls are shallow and have no large frames; the sessions hold the codec's memory.
constexpr std::size_t kStackBytes = std::size_t{256} << 10;
// user_data of the poll for wake_event_; of all others it is the tag.
constexpr std::uint64_t kWakeData = ~std::uint64_t{0};

bool has_data(Operation operation) noexcept {
  return operation == Operation::kRead || operation == Operation::kWrite;
}

Operation operation_of(const IoDescriptor& request) noexcept {
  switch (request.op_flags & 0xff) {
    case kOpRead:
      return Operation::kRead;
    case kOpWrite:
      return Operation::kWrite;
    case kOpFlush:
      return Operation::kFlush;
    case kOpDiscard:
      return Operation::kDiscard;
    case kOpWriteZeroes:
      return Operation::kWriteZeroes;
    default:
      return Operation::kUnsupported;
  }
}

}  // namespace

Queue::Queue(const QueueConfig& config, RequestServer server,
             std::optional<RequestServer> slow_server)
    : config_(config),
      server_(std::move(server)),
      slow_server_(std::move(slow_server)),
      counter_(config.stats),
      prepared_(prepared_promise_.get_future()),
      fetching_(fetching_promise_.get_future()),
      ended_(ended_promise_.get_future()) {}

Queue::~Queue() = default;

Result<std::unique_ptr<Queue>> Queue::prepare(const QueueConfig& config, store::Store& store) {
  auto server = RequestServer::open(store);
  if (!server) return std::move(server).error();
  std::optional<RequestServer> slow_server;
  if (store.has_backing()) {
    auto opened = RequestServer::open(store);
    if (!opened) return std::move(opened).error();
    slow_server.emplace(*std::move(opened));
  }
  std::unique_ptr<Queue> queue(new Queue(config, *std::move(server), std::move(slow_server)));
  queue->wake_event_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!queue->wake_event_) return errno_error("cannot make an eventfd");
  if (auto mapped = queue->map_buffers(); !mapped) return std::move(mapped).error();
  if (auto started = queue->start_thread(); !started) return std::move(started).error();
  return queue;
}

Result<void> Queue::map_buffers() {
  auto buffers = Mapping::locked(
      config_.user_copy ? kChunkBytes : std::size_t{config_.tags} * config_.request_bytes_max,
      "I/O buffers");
  if (!buffers) return std::move(buffers).error();
  buffers_ = *std::move(buffers);
  if (!slow_server_ || !config_.user_copy) return {};
  auto chunk = Mapping::locked(kChunkBytes, "I/O buffers");
  if (!chunk) return std::move(chunk).error();
  slow_chunk_ = *std::move(chunk);
  return {};
}

Result<void> Queue::begin(int char_fd) {
  const auto page_bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t bytes =
      (config_.tags * sizeof(IoDescriptor) + page_bytes - 1) / page_bytes * page_bytes;
  auto descriptors =
      Mapping::of_device(char_fd, descriptor_offset(config_.index, page_bytes), bytes);
  if (!descriptors) return std::move(descriptors).error();
  descriptors_ = *std::move(descriptors);
  mapped_ = {descriptors_.data(), bytes};
  unmap_at_end(mapped_);
  char_fd_ = char_fd;
  go_.store(1, std::memory_order_release);
  go_.notify_one();
  return {};
}

Result<void> Queue::start_thread() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // Signals are the main thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&thread_, &attributes, thread_main, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error != 0) return errno_error(error, "cannot start the thread of a ublk queue");
  joinable_ = true;
  const std::string name =
      "ublk" + std::to_string(config_.device_id) + "-q" + std::to_string(config_.index);
  pthread_setname_np(thread_, name.substr(0, 15).c_str());
  return {};
}

Result<void> Queue::wait_until_prepared(unsigned timeout_ms) {
  if (prepared_.wait_for(std::chrono::milliseconds(timeout_ms)) != std::future_status::ready) {
    return Error{ETIMEDOUT, "the thread of a ublk queue did not become ready in time"};
  }
  return prepared_.get();
}

Result<void> Queue::wait_until_fetching(unsigned timeout_ms) {
  if (fetching_.wait_for(std::chrono::milliseconds(timeout_ms)) != std::future_status::ready) {
    return Error{ETIMEDOUT, "the thread of a ublk queue did not become ready in time"};
  }
  return fetching_.get();
}

void Queue::tell_to_end() noexcept {
  is_to_end_.store(true, std::memory_order_release);
  raise_event(wake_event_.get());
}

unsigned Queue::silence() noexcept {
  const std::uint64_t asked = asked_.load(std::memory_order_relaxed);
  if (answered_.load(std::memory_order_relaxed) != asked) return ++silence_;
  asked_.store(asked + 1, std::memory_order_release);
  raise_event(wake_event_.get());
  return silence_ = 0;
}

bool Queue::join(unsigned timeout_ms) {
  if (!joinable_) return true;
  // One that was never told to serve stands by no more.
  int stands_by = 0;
  if (go_.compare_exchange_strong(stands_by, -1)) go_.notify_one();
  if (ended_.wait_for(std::chrono::milliseconds(timeout_ms)) != std::future_status::ready) {
    return false;
  }
  pthread_join(thread_, nullptr);
  joinable_ = false;
  // A mapping of /dev/ublkcN keeps it open, and DEL_DEV waits for its last close.
  descriptors_ = {};
  buffers_ = {};
  slow_chunk_ = {};
  return true;
}

void* Queue::thread_main(void* argument) {
  Queue& queue = *static_cast<Queue*>(argument);
  auto prepared = queue.prepare_thread();
  bool serving = prepared.has_value();
  const int ended_fd = queue.config_.ended_fd;
  queue.prepared_promise_.set_value(std::move(prepared));
  if (serving && queue.wait_for_go()) {
    auto fetching = queue.fetch_all();
    serving = fetching.has_value();
    queue.fetching_promise_.set_value(std::move(fetching));
    if (serving) queue.serve_until_ended();
  }
  queue.slow_lane_.end();
  if (queue.ring_open_) io_uring_queue_exit(&queue.ring_);
  raise_event(ended_fd);
  queue.ended_promise_.set_value();
  return nullptr;
}

Result<void> Queue::prepare_thread() {
  touch_stack();
  if (config_.io_flusher) {
    if (auto set = set_io_flusher(); !set) return set;
  }
  // A cpuset of this process may leave out the queue's processors; then any other serves.
  pthread_setaffinity_np(pthread_self(), sizeof(config_.cpus), &config_.cpus);
  if (slow_server_) {
    const std::string name =
        "ublk" + std::to_string(config_.device_id) + "-s" + std::to_string(config_.index);
    const auto serve = [this](const SlowRequest& request) {
      return transfer(*slow_server_, slow_chunk_.data(), request.tag, request.operation,
                      request.offset, request.length);
    };
    auto started =
        slow_lane_.start(name, config_.io_flusher, config_.tags, wake_event_.get(), serve);
    if (!started) return started;
  }
  return open_ring();
}

bool Queue::wait_for_go() noexcept {
  int go = 0;
  while ((go = go_.load(std::memory_order_acquire)) == 0) go_.wait(0, std::memory_order_acquire);
  return go > 0;
}

Result<void> Queue::fetch_all() {
  watch_wake_event();
  for (unsigned tag = 0; tag < config_.tags; ++tag) send(IoCommand::kFetch, tag, 0);
  const int submitted = io_uring_submit(&ring_);
  if (submitted < 0) return errno_error(-submitted, "cannot submit to a ublk queue");
  if (submitted != static_cast<int>(config_.tags) + 1) {
    return Error{EIO, "the kernel took only a part of a ublk queue's commands"};
  }
  // Before START_DEV no request can come, so a completion is a refusal.
  io_uring_cqe* cqe = nullptr;
  if (io_uring_peek_cqe(&ring_, &cqe) == 0) {
    return errno_error(cqe->res < 0 ? -cqe->res : EIO, "the ublk driver refuses to serve a queue");
  }
  return {};
}

void Queue::watch_wake_event() noexcept {
  // Always there, as for send().
  io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) return;
  io_uring_prep_poll_multishot(sqe, wake_event_.get(), POLLIN);
  sqe->user_data = kWakeData;
}

Result<void> Queue::open_ring() {
  const unsigned entries = config_.tags + 1;
  int error =
      -io_uring_queue_init(entries, &ring_, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN);
  if (error == EINVAL) error = -io_uring_queue_init(entries, &ring_, 0);
  if (error != 0) return errno_error(error, "cannot make the io_uring of a ublk queue");
  ring_open_ = true;
  return {};
}

void Queue::send(IoCommand command, unsigned tag, int result) noexcept {
  // Always there: the ring has an entry for every tag and one more, and a tag has one command.
  io_uring_sqe* const sqe = io_uring_get_sqe(&ring_);
  if (sqe == nullptr) return;
  std::memset(sqe, 0, sizeof(*sqe));
  sqe->opcode = IORING_OP_URING_CMD;
  sqe->fd = char_fd_;
  sqe->cmd_op = opcode(command, config_.encoding);
  sqe->user_data = tag;
  IoRequest request{};
  request.q_id = static_cast<std::uint16_t>(config_.index);
  request.tag = static_cast<std::uint16_t>(tag);
  request.result = result;
  if (!config_.user_copy) {
    request.addr = reinterpret_cast<std::uintptr_t>(buffers_.data()) +
                   std::uint64_t{tag} * config_.request_bytes_max;
  }
  std::memcpy(&sqe->cmd, &request, sizeof(request));
  ++commands_held_;
}

void Queue::serve_until_ended() {
  while (commands_held_ > 0 || slow_lane_.in_flight() > 0) {
    const int error = io_uring_submit_and_wait(&ring_, 1);
    // What a shortage of memory or a signal has left unsent is sent in the next turn.
    if (error < 0 && error != -EINTR && error != -EAGAIN && error != -EBUSY && error != -ENOMEM) {
      return;
    }
    const std::uint64_t taken_ticks = ticks_now();
    unsigned visible = io_uring_cq_ready(&ring_);
    for (unsigned unsent = 0; visible > 0; --visible) {
      io_uring_cqe* cqe = nullptr;
      if (io_uring_peek_cqe(&ring_, &cqe) != 0) break;
      const io_uring_cqe completion = *cqe;
      io_uring_cqe_seen(&ring_, cqe);
      if (!handle(completion, taken_ticks)) return;
      if (++unsent == kBatch) {
        io_uring_submit(&ring_);
        unsent = 0;
      }
    }
  }
}

// One completion. False where the queue is to end at once.
bool Queue::handle(const io_uring_cqe& completion, std::uint64_t taken_ticks) noexcept {
  if (completion.user_data == kWakeData) {
    if (is_to_end_.load(std::memory_order_acquire)) return false;
    std::uint64_t count = 0;
    static_cast<void>(read(wake_event_.get(), &count, sizeof(count)));
    answered_.store(asked_.load(std::memory_order_acquire), std::memory_order_relaxed);
    if ((completion.flags & IORING_CQE_F_MORE) == 0) watch_wake_event();
    SlowRequest done;
    while (slow_lane_.pop_done(&done)) answer(done);
    return true;
  }
  --commands_held_;
  if (completion.res == kIoResultAbort) return true;
  // A command that failed otherwise is not with the driver any more, and its tag would be lost.
  if (completion.res != kIoResultOk) return false;
  const auto tag = static_cast<unsigned>(completion.user_data);
  const IoDescriptor request = reinterpret_cast<const IoDescriptor*>(descriptors_.data())[tag];
  const Operation operation = operation_of(request);
  const std::uint64_t offset = request.start_sector * kSectorSize;
  const std::size_t length = std::size_t{request.nr_sectors} * kSectorSize;
  SlowRequest served{tag, operation, offset, length, taken_ticks, 0};
  if (slow_server_ && server_.is_slow(operation, offset, length)) {
    slow_lane_.push(served);
    return true;
  }
  served.error = transfer(server_, buffers_.data(), tag, operation, offset, length);
  answer(served);
  return true;
}

void Queue::answer(const SlowRequest& request) noexcept {
  // The driver wants the bytes done, 0 for operations without data, or -errno.
  const int result = request.error == 0 && has_data(request.operation)
                         ? static_cast<int>(request.length)
                         : request.error;
  send(IoCommand::kCommitAndFetch, request.tag, result);
  counter_.answered(request.operation, request.length, request.error, request.taken_ticks);
}

// 0 or -errno.
int Queue::transfer(RequestServer& server, std::byte* chunk, unsigned tag, Operation operation,
                    std::uint64_t offset, std::size_t length) noexcept {
  if (!has_data(operation)) return server.serve(operation, offset, length, nullptr);
  if (length > config_.request_bytes_max) return -EINVAL;
  if (!config_.user_copy) {
    std::byte* const buffer = buffers_.data() + std::size_t{tag} * config_.request_bytes_max;
    return server.serve(operation, offset, length, buffer);
  }
  for (std::size_t done = 0; done < length;) {
    // Pieces end on page boundaries, so that no page is changed in two steps.
    const std::size_t bytes = std::min(length - done, kChunkBytes - (offset + done) % kPageSize);
    const auto position = static_cast<off_t>(data_offset(config_.index, tag) + done);
    if (operation == Operation::kWrite) {
      if (pread(char_fd_, chunk, bytes, position) != static_cast<ssize_t>(bytes)) {
        return -EIO;
      }
    }
    const int error = server.serve(operation, offset + done, bytes, chunk);
    if (error != 0) return error;
    if (operation == Operation::kRead) {
      if (pwrite(char_fd_, chunk, bytes, position) != static_cast<ssize_t>(bytes)) {
        return -EIO;
      }
    }
    done += bytes;
  }
  return 0;
}

}  // namespace pleat::device::ublk
