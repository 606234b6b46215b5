// SPDX-License-Identifier: MIT OR Apache-2.0
// A FUSE file system with one file, which is as large as the device can become and whose bytes are
// the store's: a request beyond the device's size fails.
//
//   loop device -> kernel's FUSE -> a serving thread's read() -> RequestServer -> its writev()
//
// Serving threads start with create() and end with the connection. Each has a RequestServer, a
// buffer and, in a table of its own, a descriptor of the connection. All of it is allocated and
// touched before create() returns; stand_by() makes the same, and its threads wait for take_over().
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "device/queue_stats.h"
#include "device/transport.h"
#include "store/store.h"

struct fuse_session;

namespace pleat::device {

class FuseFile {
 public:
  // The largest read or write that the kernel sends in one request; it splits larger ones. Linux
  // swaps in clusters of 32 pages and, with larger folios, up to 2 MiB.
  static constexpr std::size_t kTransferBytes = std::size_t{256} << 10;

  // Makes the file system with a file called `file_name`, over `connection` or one of its own.
  // `options` gives queues, depth, io_flusher, stats and fuse_init.
  static Result<std::unique_ptr<FuseFile>> create(store::Store& store, const std::string& file_name,
                                                  const TransportOptions& options,
                                                  LoopConnection connection);
  // A stand-by for the file system that another process made over `connection`.
  static Result<std::unique_ptr<FuseFile>> stand_by(store::Store& store,
                                                    const std::string& file_name,
                                                    const TransportOptions& options,
                                                    LoopConnection connection);
  // Ends the connection, as stop() does.
  ~FuseFile();
  FuseFile(const FuseFile&) = delete;
  FuseFile& operator=(const FuseFile&) = delete;

  // Opens the file for direct I/O, and gives up the mount: from then on the file system lasts as
  // long as the file is open somewhere. Called once.
  Result<UniqueFd> open_file();

  // As a stand-by: serves from now on, first what the last server had read and not answered. That
  // one is dead. 0 or an errno; allocates nothing.
  int take_over() noexcept;
  // How stop() is to end the connection: FuseMount's `abort`, which a successor has not.
  bool has_abort() const noexcept { return static_cast<bool>(abort_); }
  void set_abort(UniqueFd abort) noexcept { abort_ = std::move(abort); }

  // Ends the connection at once: what is in flight fails, and so does every later access to the
  // file. Joins the threads. A stand-by whose time did not come leaves the connection alone.
  Result<void> stop();

  std::vector<const QueueStats*> queue_stats() const;
  // Readable once the serving threads have ended without stop().
  int ended_fd() const noexcept { return ended_.get(); }
  bool cloned() const noexcept { return cloned_; }
  bool async_direct_io() const noexcept { return async_direct_io_; }

 private:
  struct Queue;
  struct Operations;  // what libfuse calls

  enum Phase : int { kWaits, kServes, kEnds };

  FuseFile(store::Store& store, std::string file_name, const TransportOptions& options,
           LoopConnection connection);
  Result<void> connect();
  Result<void> open_session();
  Result<void> answer_init();
  Result<void> repeat_init();
  Result<void> process_init(std::span<std::byte> message, int reply);
  Result<void> start_queues(store::Store& store);
  Result<void> prepare_thread(int connection, int backing, unsigned index) const;
  void serve(Queue& queue, int connection) noexcept;

  const std::string file_name_;
  const std::uint64_t file_bytes_;
  const TransportOptions options_;
  LoopConnection connection_;  // until the threads have it
  UniqueFd root_;              // until the file is open
  UniqueFd abort_;
  fuse_session* session_ = nullptr;
  UniqueFd ended_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> phase_{kServes};
  bool initialised_ = false;
  bool cloned_ = true;
  bool async_direct_io_ = false;
  std::vector<std::unique_ptr<Queue>> queues_;
};

}  // namespace pleat::device
