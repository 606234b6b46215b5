// SPDX-License-Identifier: MIT OR Apache-2.0
// One hardware queue of a ublk device: a thread with a ring of its own.
//
//   FETCH for every tag -> a completion is a request -> its bytes go to or come from the store
//   -> COMMIT_AND_FETCH with the result, several in one io_uring_enter() -> ...
//
// A request that has to wait for the backing device takes the slow lane: another thread serves it,
// and this one sends the result.
//
// The driver ends a queue by completing its commands with -ENODEV (STOP_DEV, or somebody else's
// DEL_DEV); the thread leaves when it has none left. On the path of a request nothing is allocated,
// logged or locked, and the only system calls are io_uring_enter() and, with USER_COPY, pread() and
// pwrite() on /dev/ublkcN.
//
// Thread safety: one thread controls; the queue's own thread serves. stats() may be read by any.
#pragma once

#include <liburing.h>
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>

#include "base/anchor.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "device/mapping.h"
#include "device/queue_stats.h"
#include "device/request.h"
#include "device/ublk/abi.h"
#include "device/ublk/slow_lane.h"

namespace pleat::device::ublk {

struct QueueConfig {
  int ended_fd = -1;  // an eventfd that is written when the thread ends
  unsigned device_id = 0;
  unsigned index = 0;
  unsigned tags = 0;
  std::uint32_t request_bytes_max = 0;
  Encoding encoding = Encoding::kLegacy;
  bool user_copy = false;
  bool io_flusher = true;
  QueueStats* stats = nullptr;
  cpu_set_t cpus{};
};

class Queue {
 public:
  // Makes all that the queue needs and starts its thread, which stands by.
  static Result<std::unique_ptr<Queue>> prepare(const QueueConfig& config, store::Store& store);
  // Precondition: join() has returned true.
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // Waits until the thread has all that it needs to stand by, or for what kept it from that.
  Result<void> wait_until_prepared(unsigned timeout_ms);
  // Has the thread serve /dev/ublkcN, which stays open while the queue lives.
  Result<void> begin(int char_fd);
  // Waits until the thread has queued a FETCH for every tag, which START_DEV waits for; or for what
  // kept it from that.
  Result<void> wait_until_fetching(unsigned timeout_ms);
  // Makes the thread leave whether or not the driver has ended the queue.
  void tell_to_end() noexcept;
  // Asks the thread for a sign of life, or looks whether it has given the one that it was asked
  // for: how many times in a row it had not.
  unsigned silence() noexcept;
  // Waits for the thread's end, and gives back what it used but its statistics. False where the end
  // is not there in time.
  bool join(unsigned timeout_ms);

  const QueueStats& stats() const noexcept { return counter_.stats(); }

 private:
  Queue(const QueueConfig& config, RequestServer server, std::optional<RequestServer> slow_server);
  Result<void> map_buffers();
  Result<void> start_thread();

  // The queue's thread.
  static void* thread_main(void* queue);
  Result<void> prepare_thread();
  Result<void> open_ring();
  // Whether the thread is to serve.
  bool wait_for_go() noexcept;
  Result<void> fetch_all();
  void serve_until_ended();
  void watch_wake_event() noexcept;
  bool handle(const io_uring_cqe& completion, std::uint64_t taken_ticks) noexcept;
  void send(IoCommand command, unsigned tag, int result) noexcept;
  void answer(const SlowRequest& request) noexcept;
  // By either thread, each with a server and a chunk of its own.
  int transfer(RequestServer& server, std::byte* chunk, unsigned tag, Operation operation,
               std::uint64_t offset, std::size_t length) noexcept;

  const QueueConfig config_;
  RequestServer server_;
  std::optional<RequestServer> slow_server_;  // where there is a backing device
  RequestCounter counter_;
  int char_fd_ = -1;
  std::atomic<int> go_{0};  // 1 = serve, -1 = end
  Mapping descriptors_;     // one IoDescriptor a tag, written by the driver
  MappedFile mapped_;    // they, which keep the device from a successor as long as they are mapped
  Mapping buffers_;      // a request's bytes for every tag; with USER_COPY one chunk for all
  Mapping slow_chunk_;   // with USER_COPY the slow lane's
  UniqueFd wake_event_;  // an eventfd
  std::atomic<bool> is_to_end_{false};
  std::atomic<std::uint64_t> asked_{0};     // signs of life
  std::atomic<std::uint64_t> answered_{0};  // the last one that was asked for when the thread woke
  unsigned silence_ = 0;
  io_uring ring_{};
  bool ring_open_ = false;
  SlowLane slow_lane_;
  unsigned commands_held_ = 0;  // FETCHes and COMMIT_AND_FETCHes that the driver has

  pthread_t thread_{};
  bool joinable_ = false;
  std::promise<Result<void>> prepared_promise_;
  std::future<Result<void>> prepared_;
  std::promise<Result<void>> fetching_promise_;
  std::future<Result<void>> fetching_;
  std::promise<void> ended_promise_;
  std::future<void> ended_;
};

}  // namespace pleat::device::ublk
