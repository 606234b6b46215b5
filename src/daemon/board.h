// SPDX-License-Identifier: MIT OR Apache-2.0
// The board: what a daemon is, and which processes it consists of, in a segment of shared memory
// that anybody finds by the device's name.
//
// Like the store's memory it is there until it is removed, whoever dies. So it tells a new daemon
// all that it has to know to take up where another one ended, without a file: files of the runtime
// directory may be out on the very device that nobody serves.
//
// Thread safety: the atomics by anybody; the rest is written before there is a second process, and
// path and device_id before a stand-by is asked for.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/notify.h"
#include "base/result.h"
#include "daemon/options.h"
#include "daemon/procfs.h"
#include "daemon/transport_choice.h"
#include "device/queue_stats.h"
#include "device/transport.h"

namespace pleat::daemon {

inline constexpr unsigned kStandBys = 2;

// A place for one process, empty or taken. It changes hands as a whole.
class Seat {
 public:
  ProcessId load() const noexcept { return decode(bits_.load(std::memory_order_acquire)); }
  void store(const ProcessId& process) noexcept {
    bits_.store(encode(process), std::memory_order_release);
  }
  // Gives it to `heir` where `last` has it; whether that was so.
  bool pass(const ProcessId& last, const ProcessId& heir) noexcept {
    std::uint64_t expected = encode(last);
    return bits_.compare_exchange_strong(expected, encode(heir), std::memory_order_acq_rel);
  }

 private:
  // Process ids have 22 bits (PID_MAX_LIMIT, linux/threads.h); 42 are for clock ticks since boot.
  static constexpr unsigned kPidBits = 22;
  static constexpr std::uint64_t encode(const ProcessId& process) noexcept {
    return process.start_ticks << kPidBits | static_cast<std::uint32_t>(process.pid);
  }
  static constexpr ProcessId decode(std::uint64_t bits) noexcept {
    return {static_cast<pid_t>(bits & ((1u << kPidBits) - 1)), bits >> kPidBits};
  }

  std::atomic<std::uint64_t> bits_{0};
};

struct alignas(64) Board {
  static constexpr std::uint64_t kMagic = 0x4452414f42454c50;  // "PLEBOARD" in memory
  static constexpr std::uint32_t kVersion = 5;
  static constexpr std::size_t kTextBytes = 256;

  // Up to the name the same in every version.
  std::atomic<std::uint64_t> magic{0};  // written last
  std::uint32_t version = kVersion;
  int memory_id = -1;  // of the store's memory
  char runtime_directory[kTextBytes] = {};
  char name[64] = {};

  char algorithm[kTextBytes] = {};
  char recompress[kTextBytes] = {};
  char writeback_device[kTextBytes] = {};
  std::uint64_t writeback_bytes = 0;
  std::uint64_t size_bytes = 0;      // at the start
  std::uint64_t size_max_bytes = 0;  // as it was asked for
  unsigned queues = 0;
  unsigned depth = 0;
  unsigned block_bytes = 0;
  device::TransportKind transport = device::TransportKind::kUblk;
  char reason[kTextBytes] = {};        // why this transport
  char path[64] = {};                  // of the device, once it is there
  int device_id = -1;                  // its number, where another process can take it over
  std::atomic<bool> has_ended{false};  // the device is gone, or going: nobody is to succeed
  std::atomic<std::uint64_t> mem_limit_bytes{0};  // as it was last set

  ServiceManager manager;  // whom the guardian tells how it is, as it was told by its environment
  // The manager has been told to take the guardian for gone: the daemon is none of its services
  // until it starts one in the daemon's place.
  std::atomic<bool> has_left_service{false};

  Seat guardian;
  Seat heir;    // a guardian that is about to succeed this one
  Seat worker;  // who serves the device, or is about to: who takes this seat may use the store
  std::atomic<std::uint64_t> heartbeat_ns{0};  // the worker's, as monotonic_ns() counts

  std::byte fuse_init[device::kFuseInitBytes] = {};  // loop: device/transport.h

  // Whether the device waits for a server when all of its processes are dead. A FUSE connection is
  // theirs, and ends with the last of them.
  bool outlives_processes() const noexcept {
    return device_id >= 0 && transport == device::TransportKind::kUblk;
  }

  const std::uint64_t started_ns = monotonic_ns();
  std::atomic<std::uint64_t> take_overs{0};
  // Of each queue, whoever serves it; they lie behind the board.
  device::QueueStats* queue_stats() noexcept {
    return reinterpret_cast<device::QueueStats*>(this + 1);
  }
};

// Makes the board of a new device; its memory is locked. EEXIST where there is one already.
Result<Board*> make_board(const Options& options, const TransportChoice& choice, int memory_id);
// The board of a device, living or dead. ENOENT where there is none, EPROTO where it is another
// program's version.
Result<Board*> find_board(const std::string& name);
void release_board(Board* board) noexcept;
// Removes the device's board and the store's memory, which go once no process has them.
void remove_board(const std::string& name) noexcept;

// What the device was asked to be.
Options options_of(const Board& board);

// Whether one of the processes that make a device live does: its guardian, one about to be, or its
// worker.
bool is_living(const Board& board);

// The worker's main loop says this often that it runs; one that has not for so long is stuck.
inline constexpr int kHeartbeatMs = 200;
inline constexpr std::uint64_t kHeartbeatLimitNs = 1'000'000'000;

}  // namespace pleat::daemon
