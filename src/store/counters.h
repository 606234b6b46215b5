// SPDX-License-Identifier: MIT OR Apache-2.0
// What one session has added to the store's statistics, and their sum.
//
// A session counts what its own operations added and took away, also of pages that others stored:
// one session's part may be below zero, the sum never is at rest. The parts live in the store's
// memory, so that the counts of a closed session stay, and those of a process that died.
//
// Thread safety: one thread adds; any thread reads, and sees a recent value of each field.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/page.h"
#include "store/slot_word.h"

namespace pleat::store {

struct alignas(64) Counters {
  using Count = std::atomic<std::int64_t>;

  Count pages{0};
  Count compressed_bytes{0};
  Count same_filled{0};
  Count raw{0};
  Count objects{0};
  Count raw_ever{0};
  Count failed_reads{0};
  Count failed_writes{0};
  Count no_reserve{0};
  Count over_limit{0};
  Count corrupt{0};
  Count freed{0};  // zram's notify_free
  Count compacted{0};
  Count recompressed{0};      // pages
  Count recompress_saved{0};  // bytes
  Count written_back{0};      // pages that are so now
  Count backing_reads{0};     // blocks, of kPageSize
  Count backing_writes{0};    // blocks
  Count backing_failures{0};  // reads and writes
  Count grouped{0};           // pages that are so now

  // Forgets what is counted anew where the slot table is taken over.
  void forget_stored() noexcept {
    for (Count* const count :
         {&pages, &compressed_bytes, &same_filled, &raw, &objects, &written_back, &grouped}) {
      count->store(0, std::memory_order_relaxed);
    }
  }

  // No read-modify-write: one thread writes.
  static void add(Count& count, std::int64_t amount) noexcept {
    count.store(count.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
};

static_assert(sizeof(Counters) == 192 && Counters::Count::is_always_lock_free);

// What a slot word adds to the statistics, or, taken away again, subtracts.
struct WordCounts {
  std::int64_t pages = 0;
  std::int64_t compressed_bytes = 0;
  std::int64_t same_filled = 0;
  std::int64_t raw = 0;
  std::int64_t objects = 0;
  std::int64_t written_back = 0;
  std::int64_t grouped = 0;

  void add(SlotWord word, std::int64_t sign) noexcept {
    switch (word.kind()) {
      case SlotWord::Kind::kEmpty:
        return;
      case SlotWord::Kind::kSameWord:
      case SlotWord::Kind::kSameHalf:
        same_filled += sign;
        break;
      case SlotWord::Kind::kSameObject:
        same_filled += sign;
        objects += sign;
        break;
      case SlotWord::Kind::kRaw:
        raw += sign;
        compressed_bytes += sign * static_cast<std::int64_t>(kPageSize);
        break;
      case SlotWord::Kind::kCompressed:
        compressed_bytes += sign * static_cast<std::int64_t>(word.length());
        objects += sign;
        break;
      case SlotWord::Kind::kGrouped:
        compressed_bytes += sign * static_cast<std::int64_t>(word.length());
        grouped += sign;
        break;
      case SlotWord::Kind::kWrittenBack:
        written_back += sign;
        break;
    }
    pages += sign;
  }

  void count_in(Counters& counters) const noexcept {
    Counters::add(counters.pages, pages);
    Counters::add(counters.compressed_bytes, compressed_bytes);
    Counters::add(counters.same_filled, same_filled);
    Counters::add(counters.raw, raw);
    Counters::add(counters.objects, objects);
    Counters::add(counters.written_back, written_back);
    Counters::add(counters.grouped, grouped);
  }
};

}  // namespace pleat::store
