// SPDX-License-Identifier: MIT OR Apache-2.0
// The pool: objects of any size up to kObjectBytesMax, and whole pages, in the pages that the page
// allocator hands out.
//
// Objects of one size class share spans of 1 to 16 pages. A span's header knows how many of its
// objects are used and where the free ones are: those freed form a list through the objects
// themselves, those never used lie behind `carve`. The spans with room of a class are kept in lists
// by how full they are, and the fullest serve first, so that sparse ones become empty and go back
// to the page allocator, which they do at once.
//
// Objects go to the class that serves theirs for as little as is stored (store/serving_class.h).
//
// What a class has in spans beyond those that its objects would fill is surplus. When it grows
// compaction is called (store/compactor.h), which takes a sparse span out of its list, moves what
// is in it to others, and returns it. Nothing is allocated from a span meanwhile, so an object that
// leaves its place there does not come back to it.
//
// A pool that is taken over from a process that was killed has spans whose header and free objects
// may be between two states. They are unknown: nothing is allocated from them, and they are worked
// out anew from the slot words, by a background thread or before a slot word that points into one
// is replaced. So while a span is unknown exactly the objects that slot words name are in use.
//
// Thread safety: all functions from any thread, except where they say otherwise; a lock a size
// class. The adopt functions are called before all others. Nothing is allocated after construction.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "store/doorbell.h"
#include "store/page_allocator.h"
#include "store/page_map.h"
#include "store/serving_class.h"
#include "store/short_lock.h"
#include "store/slot_table.h"
#include "store/slot_word.h"

namespace pleat::store {

class Pool {
 public:
  // `base` is the pool's first byte; `map` has an entry for each of its pages. `bell` is rung when
  // there is enough surplus to be compacted, and where memory is refused while there is any.
  Pool(std::byte* base, std::span<PageMapCell> map, const SlotTable& slots, PageAllocator& pages,
       Doorbell& bell);

  // Takes an object of `bytes`, a multiple of kGranule up to kObjectBytesMax; *location is in
  // granules. With `limited`, mem_limit is obeyed.
  AllocateStatus allocate(std::size_t bytes, bool limited, std::uint64_t* location) noexcept;
  void free(std::uint64_t location) noexcept;
  // These members' words do not lead to the object of the group from slot `first` on any more. The
  // last of all members frees it.
  void leave_group(std::uint64_t location, std::uint64_t first, unsigned members) noexcept;

  // Takes a page for a raw page.
  AllocateStatus allocate_page(std::uint64_t* page) noexcept;
  void free_page(std::uint64_t page) noexcept;

  // Taking over: what `word` points to is in use. A word whose place cannot be is left for its
  // reader to find out. Before all other functions, by one thread.
  void adopt(SlotWord word) noexcept;
  // To be called before the slot word `old` is replaced.
  void prepare_free(SlotWord old) noexcept {
    if (has_unknown_.load(std::memory_order_acquire)) [[unlikely]]
      learn_span_of(old);
  }
  // Works out the unknown spans that the next `count` slots are in. Whether there may be more. By
  // one thread.
  bool learn_spans(std::uint64_t count) noexcept;

  // Compaction, by one thread. A span that is being emptied.
  struct DrainedSpan {
    std::uint64_t first;  // page
    unsigned size_class;
  };
  // Takes the sparsest span of the class from use, if other spans have room for its objects: those
  // of the class, and `room` further objects elsewhere.
  std::optional<DrainedSpan> begin_drain(unsigned size_class, std::uint64_t room) noexcept;
  // An object of the class from a span that is there; whether one was free.
  bool allocate_free(unsigned size_class, std::uint64_t* location) noexcept;
  // Returns the span, to the page allocator if it is empty, else to use; the pages that this freed.
  unsigned end_drain(DrainedSpan drained) noexcept;
  std::uint64_t free_objects(unsigned size_class) noexcept;

  // The class that new objects of the class go to.
  unsigned serving_class(unsigned size_class) const noexcept {
    const Band& band = bands_[kServingClasses.band_of[size_class]];
    return kServingClasses.instead_of[band.level.load(std::memory_order_relaxed)][size_class];
  }

  // Pages of spans beyond those that each class's objects would fill.
  std::uint64_t surplus_pages() const noexcept { return surplus_.load(std::memory_order_relaxed); }
  // The surplus at which compaction begins.
  std::uint64_t surplus_limit() const noexcept {
    return kRegionPages / 2 + pages_.used_pages() / kSurplusShare;
  }
  // Whether memory was refused since the last call.
  bool take_refused() noexcept { return refused_.exchange(false, std::memory_order_acq_rel); }

  std::byte* at(std::uint64_t location) const noexcept { return base_ + location * kGranule; }
  std::byte* page(std::uint64_t page) const noexcept { return base_ + page * kPageSize; }
  PageMapEntry map_entry(std::uint64_t page) const noexcept { return map_[page].load(); }
  void set_map_entry(std::uint64_t page, PageMapEntry entry) noexcept { map_[page].store(entry); }

  // Whether `bytes` from `location` on lie in the pool: what a slot word says is believed only
  // then.
  bool contains(std::uint64_t location, std::size_t bytes) const noexcept {
    return location * kGranule + bytes <= map_.size() * kPageSize;
  }

  std::uint64_t spans() const noexcept { return spans_.load(std::memory_order_relaxed); }

 private:
  static constexpr unsigned kGroups = 8;
  // What SpanHeader::group says of spans that are in no list: full ones, and that which compaction
  // has taken.
  static constexpr unsigned kFull = kGroups;
  static constexpr unsigned kDrained = kGroups + 1;
  static constexpr std::uint64_t kSurplusShare = 2048;

  // At the start of each span. Positions within it are in granules, 0 = none, as the header is
  // there. Spans are named by their first page plus one, 0 = none.
  struct SpanHeader {
    std::uint32_t next;
    std::uint32_t previous;
    std::uint16_t free;   // the first object of the free list
    std::uint16_t carve;  // the first object that was never used
    std::uint16_t used;
    std::uint16_t size_class : 9;
    std::uint16_t group : 7;  // the list it is in, kFull or kDrained
  };
  static_assert(sizeof(SpanHeader) == kSpanHeaderBytes && kSpanHeaderBytes % kGranule == 0);

  struct alignas(64) ClassState {
    ShortLock lock;  // of the rest, and of the headers and free objects of the class's spans
    std::uint32_t occupied = 0;  // bit n: lists[n] has spans
    std::array<std::uint32_t, kGroups> lists{};
    std::uint64_t free = 0;          // objects, in all spans that are known
    std::uint64_t surplus_from = 0;  // of these, those that whole spans have
    std::uint64_t surplus = 0;       // pages of such spans
  };
  static_assert(sizeof(ClassState) == 64);

  // Classes that serve for each other.
  struct Band {
    std::atomic<std::uint64_t> pages{0};  // of their spans
    std::atomic<std::uint8_t> level{kLevels - 1};
  };

  SpanHeader& span(std::uint32_t name) const noexcept {
    return *reinterpret_cast<SpanHeader*>(page(name - 1));
  }
  std::uint32_t name_of(const SpanHeader& header) const noexcept {
    const auto offset = reinterpret_cast<const std::byte*>(&header) - base_;
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(offset) / kPageSize) + 1;
  }
  // The span that the page map says an object is in: its first page and its class.
  struct SpanPlace {
    std::uint64_t first;
    unsigned size_class;
  };
  // None where the map's entry cannot be right.
  std::optional<SpanPlace> span_of(std::uint64_t location) const noexcept;
  void learn_span_of(SlotWord word) noexcept;
  // Whether slot words lead to the object; one of a group gets its members.
  bool is_used(std::uint64_t location) noexcept;
  // Builds the header and the list of free objects of an unknown span, under its class's lock.
  void learn(ClassState& state, std::uint64_t first) noexcept;
  AllocateStatus allocate_in(unsigned size_class, bool limited, std::uint64_t* location) noexcept;
  // Takes an object of a span with room.
  std::uint64_t take(ClassState& state, std::uint32_t name) noexcept;
  // Counts `change` free objects more in the class.
  void count_free(ClassState& state, const SizeClass& sizes, std::int64_t change) noexcept;
  AllocateStatus refused(AllocateStatus status) noexcept;
  // Gives an empty span, which is in no list any more, to the page allocator.
  void release(std::uint64_t first, unsigned size_class) noexcept;
  AllocateStatus make_span(unsigned size_class, bool limited, std::uint32_t* name) noexcept;
  // Counts a span more or less.
  void count_span(unsigned size_class, int change) noexcept;
  void link(ClassState& state, SpanHeader& header, unsigned group) noexcept;
  void unlink(ClassState& state, SpanHeader& header) noexcept;
  void regroup(ClassState& state, SpanHeader& header) noexcept;

  std::byte* const base_;
  const std::span<PageMapCell> map_;
  const SlotTable slots_;
  PageAllocator& pages_;
  Doorbell& bell_;
  std::array<ClassState, kSizeClasses.count> classes_;
  std::array<Band, ServingClasses::kBands> bands_;
  std::atomic<std::uint64_t> spans_{0};
  std::atomic<std::uint64_t> surplus_{0};
  std::atomic<bool> refused_{false};
  std::atomic<bool> has_unknown_{false};
  std::uint64_t learnt_ = 0;  // learn_spans(): slots before it point into no unknown span
};

}  // namespace pleat::store
