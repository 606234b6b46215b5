// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/board.h"

#include <sys/ipc.h>
#include <sys/shm.h>

#include <cerrno>
#include <new>
#include <string_view>

#include "control/socket.h"
#include "store/memory.h"

namespace pleat::daemon {

namespace {

constexpr int kBoardMode = 0600;
// Keys that a board may have: two names may lead to the same first one.
constexpr unsigned kKeysTried = 16;

// FNV-1a. A runtime directory of one's own, as tests have, is a world of its own.
key_t board_key(const std::string& name, unsigned attempt) {
  std::uint32_t hash = 2166136261u;
  for (const char byte : control::runtime_directory() + "/" + name) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 16777619u;
  }
  const auto key = static_cast<key_t>(hash + attempt);
  return key == IPC_PRIVATE ? board_key(name, attempt + kKeysTried) : key;
}

template <std::size_t kBytes>
void set_text(char (&field)[kBytes], std::string_view text) {
  field[text.copy(field, kBytes - 1)] = '\0';
}

// The segment of one key: its id, and what is in it, if that may be a board.
struct Found {
  int id = -1;
  Board* board = nullptr;
};

bool is_of(const Board& board, const std::string& name) {
  return board.magic.load(std::memory_order_acquire) == Board::kMagic && name == board.name &&
         control::runtime_directory() == board.runtime_directory;
}

Result<Found> find(const std::string& name) {
  for (unsigned attempt = 0; attempt < kKeysTried; ++attempt) {
    const int id = shmget(board_key(name, attempt), 0, 0);
    if (id < 0) continue;
    shmid_ds status{};
    if (shmctl(id, IPC_STAT, &status) != 0 || status.shm_segsz < sizeof(Board)) continue;
    void* const memory = shmat(id, nullptr, 0);
    if (memory == reinterpret_cast<void*>(-1)) continue;
    auto* const board = static_cast<Board*>(memory);
    if (is_of(*board, name)) return Found{id, board};
    release_board(board);
  }
  return Error{ENOENT, "no daemon has left a device named " + name};
}

}  // namespace

Result<Board*> make_board(const Options& options, const TransportChoice& choice, int memory_id) {
  if (auto there = find(options.name)) {
    release_board(there->board);
    return Error{EEXIST, "a daemon has left a device named " + options.name};
  }
  const std::size_t bytes = sizeof(Board) + options.queues * sizeof(device::QueueStats);
  int id = -1;
  for (unsigned attempt = 0; id < 0 && attempt < kKeysTried; ++attempt) {
    id = shmget(board_key(options.name, attempt), bytes, IPC_CREAT | IPC_EXCL | kBoardMode);
    if (id < 0 && errno != EEXIST) break;
  }
  if (id < 0) {
    return errno_error(
        "no shared memory for what the daemon's processes share; raise the limits (sysctl "
        "kernel.shmmni, kernel.shmall)");
  }
  void* const memory = shmat(id, nullptr, 0);
  if (memory == reinterpret_cast<void*>(-1) || shmctl(id, SHM_LOCK, nullptr) != 0) {
    const Error error = errno_error("cannot lock what the daemon's processes share");
    shmctl(id, IPC_RMID, nullptr);
    return error;
  }
  auto* const board = new (memory) Board;
  for (unsigned i = 0; i < options.queues; ++i) new (board->queue_stats() + i) device::QueueStats;
  set_text(board->runtime_directory, control::runtime_directory());
  set_text(board->name, options.name);
  set_text(board->algorithm, options.algorithm);
  set_text(board->recompress, options.recompress);
  set_text(board->writeback_device, options.writeback_device);
  board->writeback_bytes = options.writeback_bytes;
  board->size_bytes = options.size_bytes;
  board->size_max_bytes = options.size_max_bytes;
  board->queues = options.queues;
  board->depth = options.depth;
  board->block_bytes = options.block_bytes;
  board->transport = choice.kind;
  set_text(board->reason, choice.reason);
  board->mem_limit_bytes = options.mem_limit_bytes;
  board->memory_id = memory_id;
  board->magic.store(Board::kMagic, std::memory_order_release);
  return board;
}

Result<Board*> find_board(const std::string& name) {
  auto found = find(name);
  if (!found) return found.error();
  if (found->board->version != Board::kVersion) {
    const Error error{EPROTO, "the daemon of " + name + " shares memory of version " +
                                  std::to_string(found->board->version) +
                                  ", and this program knows " + std::to_string(Board::kVersion) +
                                  " only"};
    release_board(found->board);
    return error;
  }
  return found->board;
}

void release_board(Board* board) noexcept { shmdt(board); }

void remove_board(const std::string& name) noexcept {
  auto found = find(name);
  if (!found) return;
  store::Memory::remove(found->board->memory_id);
  release_board(found->board);
  shmctl(found->id, IPC_RMID, nullptr);
}

Options options_of(const Board& board) {
  Options options;
  options.name = board.name;
  options.size_bytes = board.size_bytes;
  options.size_max_bytes = board.size_max_bytes;
  options.algorithm = board.algorithm;
  options.recompress = board.recompress;
  options.writeback_device = board.writeback_device;
  options.writeback_bytes = board.writeback_bytes;
  options.mem_limit_bytes = board.mem_limit_bytes;
  options.queues = board.queues;
  options.depth = board.depth;
  options.block_bytes = board.block_bytes;
  options.transport = device::to_string(board.transport);
  return options;
}

bool is_living(const Board& board) {
  return is_alive(board.guardian.load()) || is_alive(board.worker.load()) ||
         is_alive(board.heir.load());
}

}  // namespace pleat::daemon
