// SPDX-License-Identifier: MIT OR Apache-2.0
// Damages the store of a device that runs, from outside, as broken memory would.
//
//   store_damager NAME layout VERSION       writes a version into its header; 0 is the right one
//   store_damager NAME flip PAGE SEED       flips a random bit of what the pool has of the page
//   store_damager NAME flip-any COUNT SEED  the same of so many random pages
//
// Exit status: 0; 1 where there is no such device, or nothing of the page in the pool.

#include <sys/shm.h>

#include <atomic>
#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "daemon/board.h"
#include "store/layout.h"
#include "store/object.h"
#include "store/slot_word.h"

namespace pleat::guest {
namespace {

std::byte* attach(int id) {
  void* const memory = shmat(id, nullptr, 0);
  return memory == reinterpret_cast<void*>(-1) ? nullptr : static_cast<std::byte*>(memory);
}

// The memory of the device's store, which its board names; null where there is none.
std::byte* find_store(const char* name) {
  shmid_ds status{};
  const int last = shmctl(0, SHM_INFO, &status);
  for (int index = 0; index <= last; ++index) {
    const int id = shmctl(index, SHM_STAT, &status);
    if (id < 0 || status.shm_segsz < sizeof(daemon::Board)) continue;
    std::byte* const memory = attach(id);
    if (memory == nullptr) continue;
    const auto& board = *reinterpret_cast<const daemon::Board*>(memory);
    if (board.magic == daemon::Board::kMagic && std::strcmp(board.name, name) == 0) {
      return attach(board.memory_id);
    }
    shmdt(memory);
  }
  return nullptr;
}

class Damager {
 public:
  explicit Damager(std::byte* memory)
      : memory_(memory), header_(*reinterpret_cast<store::StoreHeader*>(memory)) {}

  void set_layout(std::uint32_t version) { header_.version = version; }

  std::uint64_t pages() const {
    return *reinterpret_cast<const std::uint64_t*>(memory_ + store::kVariablesOffset);
  }

  // Whether the page is kept in the pool.
  bool flip(std::uint64_t page, std::uint64_t random) {
    if (page >= pages()) return false;
    const auto* const table =
        reinterpret_cast<const std::uint64_t*>(memory_ + header_.slot_table_offset);
    const store::SlotWord word(table[page]);
    if (word.inlined()) return false;
    std::byte* object = memory_ + header_.pool_offset;
    std::uint64_t bytes = kPageSize;
    if (word.kind() == store::SlotWord::Kind::kRaw) {
      object += word.pool_page() * kPageSize;
    } else {
      object += word.location() * store::kGranule;
      bytes = sizeof(store::ObjectHeader) + word.data_bytes();
    }
    const std::uint64_t bit = random % (bytes * 8);
    auto& flipped = *reinterpret_cast<unsigned char*>(object + bit / 8);
    std::atomic_ref(flipped).fetch_xor(static_cast<unsigned char>(1u << bit % 8));
    std::printf("store_damager: page %" PRIu64 ": bit %" PRIu64 " of %" PRIu64 " bytes\n", page,
                bit, bytes);
    return true;
  }

 private:
  std::byte* memory_;
  store::StoreHeader& header_;
};

int run(const char* name, const std::string& what, std::uint64_t number, std::uint64_t seed) {
  std::byte* const memory = find_store(name);
  if (memory == nullptr) {
    std::fprintf(stderr, "store_damager: there is no device %s\n", name);
    return 1;
  }
  Damager damager(memory);
  std::mt19937_64 random(seed);
  if (what == "layout") {
    damager.set_layout(number == 0 ? store::StoreHeader::kVersion
                                   : static_cast<std::uint32_t>(number));
    return 0;
  }
  if (what == "flip") {
    if (damager.flip(number, random())) return 0;
    std::fprintf(stderr, "store_damager: page %" PRIu64 " is not in the pool\n", number);
    return 1;
  }
  std::uint64_t flipped = 0;
  // A page that is there is found sooner than this.
  for (std::uint64_t tries = 1000 * damager.pages(); flipped < number && tries > 0; --tries) {
    if (damager.flip(random() % damager.pages(), random())) ++flipped;
  }
  return flipped == number ? 0 : 1;
}

}  // namespace
}  // namespace pleat::guest

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[2] : "";
  const bool good = what == "layout" ? argc == 4 : argc == 5 && what.starts_with("flip");
  if (!good) {
    std::fprintf(stderr,
                 "usage: store_damager NAME layout VERSION | NAME flip PAGE SEED | NAME flip-any "
                 "COUNT SEED\n");
    return 1;
  }
  const std::uint64_t seed = argc == 5 ? std::strtoull(argv[4], nullptr, 10) : 0;
  return pleat::guest::run(argv[1], what, std::strtoull(argv[3], nullptr, 10), seed);
}
