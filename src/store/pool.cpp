// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/pool.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/bytes.h"

namespace pleat::store {
namespace {

// The list for a span with `used` of `objects` used: quarters, and none where it is full.
unsigned group_of(unsigned used, unsigned objects) { return used * 4 / objects; }

}  // namespace

Pool::Pool(std::byte* base, std::span<PageMapCell> map, const SlotTable& slots,
           PageAllocator& pages)
    : base_(base), map_(map), slots_(slots), pages_(pages) {}

AllocateStatus Pool::allocate(std::size_t bytes, bool limited, std::uint64_t* location) noexcept {
  // As zram does: once the limit was lowered below what is used, every write fails, also one that
  // would need no further page.
  if (limited && pages_.over_limit()) return AllocateStatus::kOverLimit;
  const unsigned size_class = size_class_of(bytes);
  ClassState& state = classes_[size_class];
  const std::lock_guard guard(state.lock);
  std::uint32_t name = 0;
  for (unsigned group = kGroups; name == 0 && group-- > 0;) name = state.lists[group];
  if (name == 0) {
    const AllocateStatus status = make_span(size_class, limited, &name);
    if (status != AllocateStatus::kOk) return status;
    link(state, span(name), 0);
  }
  SpanHeader& header = span(name);
  const std::uint64_t start = std::uint64_t{name - 1} * kGranulesPerPage;
  unsigned position = header.free;
  if (position != 0) {
    header.free = load_u16(at(start + position));
  } else {
    position = header.carve;
    header.carve =
        static_cast<std::uint16_t>(position + kSizeClasses.classes[size_class].bytes / kGranule);
  }
  ++header.used;
  regroup(state, header);
  *location = start + position;
  return AllocateStatus::kOk;
}

AllocateStatus Pool::make_span(unsigned size_class, bool limited, std::uint32_t* name) noexcept {
  const unsigned count = kSizeClasses.classes[size_class].pages;
  std::uint64_t first = 0;
  const AllocateStatus status = pages_.allocate(count, limited, &first);
  if (status != AllocateStatus::kOk) return status;
  for (unsigned i = 0; i < count; ++i) {
    set_map_entry(first + i, PageMapEntry::of_span(size_class, i));
  }
  *name = static_cast<std::uint32_t>(first) + 1;
  span(*name) = SpanHeader{0,
                           0,
                           0,
                           kSpanHeaderBytes / kGranule,
                           0,
                           static_cast<std::uint8_t>(size_class),
                           static_cast<std::uint8_t>(kGroups)};
  spans_.fetch_add(1, std::memory_order_relaxed);
  return AllocateStatus::kOk;
}

std::optional<Pool::SpanPlace> Pool::span_of(std::uint64_t location) const noexcept {
  const std::uint64_t page = location / kGranulesPerPage;
  const PageMapEntry entry = map_entry(page);
  if (entry.raw() || entry.size_class() >= kSizeClasses.count || entry.distance() > page) {
    return std::nullopt;
  }
  return SpanPlace{page - entry.distance(), entry.size_class()};
}

void Pool::free(std::uint64_t location) noexcept {
  const std::optional<SpanPlace> place = span_of(location);
  // A damaged slot word or map would make this page another's. Better to lose the object.
  if (!place) return;
  const std::uint64_t first = place->first;
  ClassState& state = classes_[place->size_class];
  const unsigned count = kSizeClasses.classes[place->size_class].pages;
  {
    const std::lock_guard guard(state.lock);
    SpanHeader& header = span(static_cast<std::uint32_t>(first) + 1);
    std::memcpy(at(location), &header.free, sizeof(header.free));
    header.free = static_cast<std::uint16_t>(location - first * kGranulesPerPage);
    --header.used;
    if (header.used != 0) {
      regroup(state, header);
      return;
    }
    unlink(state, header);
  }
  spans_.fetch_sub(1, std::memory_order_relaxed);
  pages_.release(first, count);
}

AllocateStatus Pool::allocate_page(std::uint64_t* page) noexcept {
  if (pages_.over_limit()) return AllocateStatus::kOverLimit;
  return pages_.allocate(1, true, page);
}

void Pool::free_page(std::uint64_t page) noexcept {
  if (map_entry(page).raw()) pages_.release(page, 1);
}

void Pool::adopt(SlotWord word) noexcept {
  if (word.inlined() || !contains(word.location(), kGranule)) return;
  if (word.kind() == SlotWord::Kind::kRaw) {
    if (map_entry(word.pool_page()).raw()) (void)pages_.adopt(word.pool_page(), 1);
    return;
  }
  const std::optional<SpanPlace> place = span_of(word.location());
  if (!place) return;
  const unsigned count = kSizeClasses.classes[place->size_class].pages;
  const std::uint64_t page = word.location() / kGranulesPerPage;
  if (page - place->first >= count || !pages_.adopt(place->first, count)) return;
  for (unsigned i = 0; i < count; ++i) {
    set_map_entry(place->first + i,
                  PageMapEntry::of_span(place->size_class, i).with_unknown(i == 0));
  }
  spans_.fetch_add(1, std::memory_order_relaxed);
  has_unknown_.store(true, std::memory_order_relaxed);
}

void Pool::learn_span_of(SlotWord word) noexcept {
  if (word.inlined() || word.kind() == SlotWord::Kind::kRaw) return;
  if (!contains(word.location(), kGranule)) return;
  // Where the word is replaced meanwhile, its span is known, and may be another's already.
  const std::optional<SpanPlace> place = span_of(word.location());
  if (!place) return;
  ClassState& state = classes_[place->size_class];
  const std::lock_guard guard(state.lock);
  if (map_entry(place->first).unknown()) learn(state, place->first);
}

bool Pool::learn_spans(std::uint64_t count) noexcept {
  if (!has_unknown_.load(std::memory_order_relaxed)) return false;
  const std::uint64_t end = std::min<std::uint64_t>(slots_.size(), learnt_ + count);
  for (; learnt_ < end; ++learnt_) {
    learn_span_of(SlotWord(slots_[learnt_].load(std::memory_order_acquire)));
  }
  if (end < slots_.size()) return true;
  has_unknown_.store(false, std::memory_order_release);
  return false;
}

void Pool::learn(ClassState& state, std::uint64_t first) noexcept {
  const unsigned size_class = map_entry(first).size_class();
  const SizeClass& sizes = kSizeClasses.classes[size_class];
  const unsigned step = static_cast<unsigned>(sizes.bytes / kGranule);
  const unsigned begin = kSpanHeaderBytes / kGranule;
  const unsigned end = begin + sizes.objects * step;
  const std::uint64_t start = first * kGranulesPerPage;
  unsigned used = 0;
  unsigned free = 0;
  for (unsigned position = end; position > begin;) {
    position -= step;
    std::byte* const object = at(start + position);
    const auto slot = load_u32(object);
    bool alive = false;
    if (slot < slots_.size()) {
      const SlotWord word(slots_[slot].load(std::memory_order_acquire));
      alive = !word.inlined() && word.kind() != SlotWord::Kind::kRaw &&
              word.location() == start + position;
    }
    if (alive) {
      ++used;
    } else {
      put(object, static_cast<std::uint16_t>(free));
      free = position;
    }
  }
  SpanHeader& header = span(static_cast<std::uint32_t>(first) + 1);
  header = SpanHeader{0,
                      0,
                      static_cast<std::uint16_t>(free),
                      static_cast<std::uint16_t>(end),
                      static_cast<std::uint16_t>(used),
                      static_cast<std::uint8_t>(size_class),
                      static_cast<std::uint8_t>(kGroups)};
  set_map_entry(first, map_entry(first).with_unknown(false));
  regroup(state, header);
}

void Pool::link(ClassState& state, SpanHeader& header, unsigned group) noexcept {
  header.group = static_cast<std::uint8_t>(group);
  header.previous = 0;
  header.next = state.lists[group];
  const std::uint32_t name = name_of(header);
  if (header.next != 0) span(header.next).previous = name;
  state.lists[group] = name;
}

void Pool::unlink(ClassState& state, SpanHeader& header) noexcept {
  if (header.group == kGroups) return;
  if (header.next != 0) span(header.next).previous = header.previous;
  if (header.previous != 0) {
    span(header.previous).next = header.next;
  } else {
    state.lists[header.group] = header.next;
  }
  header.group = kGroups;
}

void Pool::regroup(ClassState& state, SpanHeader& header) noexcept {
  const unsigned group = group_of(header.used, kSizeClasses.classes[header.size_class].objects);
  if (group == header.group) return;
  unlink(state, header);
  if (group != kGroups) link(state, header, group);
}

}  // namespace pleat::store
