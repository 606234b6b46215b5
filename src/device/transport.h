// SPDX-License-Identifier: MIT OR Apache-2.0
// A way for a block device to reach the store: ublk, or a loop device over a FUSE file.
//
//   probe() says which the kernel has; start_*() makes the device; stop() takes it away.
//
// Start leaves nothing behind where it fails. A kernel device must not outlive its daemon: the
// guardian (daemon/guardian.h) calls remove_leftovers() after the worker is gone, however it went.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "device/queue_stats.h"

namespace pleat::device {

enum class TransportKind : std::uint8_t { kUblk, kLoop };
const char* to_string(TransportKind kind) noexcept;  // "ublk", "loop"

// Bytes that the kernel's first message to a FUSE server has at most; the rest is kept for more.
inline constexpr std::size_t kFuseInitBytes = 128;

struct TransportOptions {
  std::string name;             // the device's name in Pleat, [A-Za-z0-9_.-]{1,32}
  int id = -1;                  // ublk's device number (/dev/ublkbN); -1 = the first free one
  unsigned queues = 1;          // ublk: hardware queues; loop: serving threads. At least 1.
  unsigned depth = 64;          // requests in flight a queue
  unsigned block_bytes = 4096;  // logical block size, 512 or 4096
  bool user_copy = true;        // ublk: use USER_COPY where the kernel has it
  bool io_flusher = true;       // mark I/O threads; off only for tests without the capability
  pid_t owner = 0;              // ublk: the process whose device it is; 0 = this one
  QueueStats* stats = nullptr;  // of each queue, for longer than the transport; null: its own
  // loop: kFuseInitBytes that servers of a connection share, for what the kernel told the first one
  std::byte* fuse_init = nullptr;
};

// The descriptors of a loop device's FUSE connection, one a serving thread. Who serves the device
// and who may ever do so has them from its birth.
using LoopConnection = std::vector<UniqueFd>;
// Opens them for a new device. An error where the kernel cannot let one server succeed another.
Result<LoopConnection> open_loop_connection(unsigned queues);
// Copies those of a living process, which serves the device or guards it, one a queue.
Result<LoopConnection> copy_loop_connection(pid_t process, unsigned queues);

// What a transport is and does, for people: shown by `pleat stat` and the demo.
struct TransportInfo {
  TransportKind kind = TransportKind::kUblk;
  std::string path;  // "/dev/ublkb0", "/dev/loop3"
  int id = -1;       // the number in the path
  unsigned queues = 0;
  unsigned depth = 0;
  bool recoverable = false;  // whether a stand-by may take it over when its server dies
  std::vector<std::string>
      features;  // "USER_COPY", "CMD_IOCTL_ENCODE", ... as the kernel names them
};

class Transport {
 public:
  virtual ~Transport() = default;

  virtual const TransportInfo& info() const noexcept = 0;
  // Statistics of each queue; the pointers live as long as the transport.
  virtual std::vector<const QueueStats*> queue_stats() const = 0;
  // A file descriptor that becomes readable when the device has ended by itself (a queue thread
  // failed, or somebody else deleted the device).
  virtual int ended_fd() const noexcept = 0;
  // Ends service and removes the kernel's device, within 10 s. The caller has made sure that
  // nothing uses it. Called once; the destructor calls it where nobody did.
  virtual Result<void> stop() = 0;
  // For a stand-by: serves the device from now on. Its last server is dead or dying; what the
  // device had in flight is served again. Waits for the driver to let go of that server. A stand-by
  // that is destroyed without this leaves the device alone.
  virtual Result<void> take_over();
  // Gives the device another size, in use or not. The store has at least that many slots by then.
  // EOPNOTSUPP where the kernel cannot.
  virtual Result<void> resize(std::uint64_t bytes) = 0;
  // Whether requests wait and a queue has done nothing since many calls of this, which are to come
  // a fraction of a second apart, so that a process that was stopped as a whole is not taken for
  // one. Where no other process could take over the answer is no.
  virtual bool is_stuck() noexcept { return false; }
  // stop() while the caller holds the device open with O_EXCL (`claim`), so that no swapon or mount
  // slips in between its check and the end: the claim is closed when the kernel takes no new users
  // any more, which must be before the device is deleted, since that waits for the last close. This
  // default closes it first.
  virtual Result<void> stop_claimed(UniqueFd claim) {
    claim.reset();
    return stop();
  }
};

// Whether the kernel has the transport and this process may use it; else an error that says what to
// do (load a module, run as root, another transport).
Result<void> probe_ublk();
Result<void> probe_loop();

// Makes the device over `store` and returns when it takes requests. One thread and one session a
// queue.
Result<std::unique_ptr<Transport>> start_ublk(store::Store& store, const TransportOptions& options);
// With a connection that others have too the loop device is recoverable; without, it has its own.
Result<std::unique_ptr<Transport>> start_loop(store::Store& store, const TransportOptions& options,
                                              LoopConnection connection = {});

// A stand-by for the device `id`, which start_*() made in another process and reported as
// recoverable: has all that it takes to serve it, and touches it only by take_over(). `store` has
// not begun yet.
Result<std::unique_ptr<Transport>> stand_by_ublk(store::Store& store,
                                                 const TransportOptions& options, int id);
Result<std::unique_ptr<Transport>> stand_by_loop(store::Store& store,
                                                 const TransportOptions& options, int id,
                                                 LoopConnection connection);

// Removes what a dead worker's device left in the kernel (a dead ublk device; a loop device and its
// FUSE mount). `info` is what the worker reported, or holds the kind and id at least. Bounded in
// time.
Result<void> remove_leftovers(const TransportInfo& info, const std::string& name);

}  // namespace pleat::device
