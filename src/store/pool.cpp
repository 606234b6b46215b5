// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/pool.h"

#include <algorithm>
#include <bit>
#include <mutex>

#include "store/group.h"
#include "store/object.h"

namespace pleat::store {
namespace {

// How many spans of the sparsest list are looked at for the sparsest span.
constexpr int kSpansCompared = 16;

}  // namespace

Pool::Pool(std::byte* base, std::span<PageMapCell> map, const SlotTable& slots,
           PageAllocator& pages, Doorbell& bell)
    : base_(base), map_(map), slots_(slots), pages_(pages), bell_(bell) {}

AllocateStatus Pool::allocate(std::size_t bytes, bool limited, std::uint64_t* location) noexcept {
  // As zram does: once the limit was lowered below what is used, every write fails, also one that
  // would need no further page.
  if (limited && pages_.over_limit()) return refused(AllocateStatus::kOverLimit);
  return refused(allocate_in(serving_class(size_class_of(bytes)), limited, location));
}

AllocateStatus Pool::allocate_in(unsigned size_class, bool limited,
                                 std::uint64_t* location) noexcept {
  ClassState& state = classes_[size_class];
  const std::lock_guard guard(state.lock);
  std::uint32_t name = 0;
  if (state.occupied != 0) {
    name = state.lists[static_cast<unsigned>(std::bit_width(state.occupied)) - 1];
  } else {
    const AllocateStatus status = make_span(size_class, limited, &name);
    if (status != AllocateStatus::kOk) return status;
    link(state, span(name), 0);
    count_free(state, kSizeClasses.classes[size_class], kSizeClasses.classes[size_class].objects);
  }
  *location = take(state, name);
  return AllocateStatus::kOk;
}

std::uint64_t Pool::take(ClassState& state, std::uint32_t name) noexcept {
  SpanHeader& header = span(name);
  const SizeClass& sizes = kSizeClasses.classes[header.size_class];
  const std::uint64_t start = std::uint64_t{name - 1} * kGranulesPerPage;
  unsigned position = header.free;
  if (position != 0) {
    header.free = static_cast<std::uint16_t>(first_word(at(start + position)));
  } else {
    position = header.carve;
    header.carve = static_cast<std::uint16_t>(position + sizes.bytes / kGranule);
  }
  ++header.used;
  regroup(state, header);
  count_free(state, sizes, -1);
  return start + position;
}

AllocateStatus Pool::refused(AllocateStatus status) noexcept {
  if (status != AllocateStatus::kOk && surplus_pages() != 0) [[unlikely]] {
    refused_.store(true, std::memory_order_release);
    bell_.ring();
  }
  return status;
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
  span(*name) = SpanHeader{
      0,    0, 0, kSpanHeaderBytes / kGranule, 0, static_cast<std::uint16_t>(size_class & 0x1FF),
      kFull};
  count_span(size_class, 1);
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
  const SizeClass& sizes = kSizeClasses.classes[place->size_class];
  {
    const std::lock_guard guard(state.lock);
    SpanHeader& header = span(static_cast<std::uint32_t>(first) + 1);
    store_first_word(at(location), header.free);
    header.free = static_cast<std::uint16_t>(location - first * kGranulesPerPage);
    --header.used;
    if (header.used != 0 || header.group == kDrained) {
      count_free(state, sizes, 1);
      regroup(state, header);
      return;
    }
    unlink(state, header);
    count_free(state, sizes, 1 - std::int64_t{sizes.objects});
  }
  release(first, place->size_class);
}

void Pool::leave_group(std::uint64_t location, std::uint64_t first, unsigned members) noexcept {
  std::byte* const object = at(location);
  // A damaged word would take another object's bits. Better to lose the object.
  if (first_word(object) != first) return;
  const unsigned before =
      members_of(object).fetch_and(static_cast<std::uint8_t>(~members), std::memory_order_acq_rel);
  const bool is_last = before != 0 && (before & ~members) == 0;
  // Bits that were damaged, too, cost memory and not the other pages.
  if (is_last && find_members(slots_, first, location) == 0) free(location);
}

void Pool::release(std::uint64_t first, unsigned size_class) noexcept {
  count_span(size_class, -1);
  pages_.release(first, kSizeClasses.classes[size_class].pages);
}

void Pool::count_span(unsigned size_class, int change) noexcept {
  const std::size_t index = kServingClasses.band_of[size_class];
  Band& band = bands_[index];
  const auto grown =
      static_cast<std::uint64_t>(change * int{kSizeClasses.classes[size_class].pages});
  const std::uint64_t pages = band.pages.fetch_add(grown, std::memory_order_relaxed) + grown;
  // Of two threads the wrong one may be the last, which does no harm until the next span.
  band.level.store(static_cast<std::uint8_t>(level_for(index, pages)), std::memory_order_relaxed);
  spans_.fetch_add(static_cast<std::uint64_t>(change), std::memory_order_relaxed);
}

void Pool::count_free(ClassState& state, const SizeClass& sizes, std::int64_t change) noexcept {
  state.free += static_cast<std::uint64_t>(change);
  // Below zero is far above.
  if (state.free - state.surplus_from < sizes.objects) return;
  const std::uint64_t spans = state.free / sizes.objects;
  const std::uint64_t surplus = spans * sizes.pages;
  const std::uint64_t grown = surplus - state.surplus;
  const std::uint64_t total = surplus_.fetch_add(grown, std::memory_order_relaxed) + grown;
  if (surplus > state.surplus && total > surplus_limit()) bell_.ring();
  state.surplus_from = spans * sizes.objects;
  state.surplus = surplus;
}

AllocateStatus Pool::allocate_page(std::uint64_t* page) noexcept {
  if (pages_.over_limit()) return refused(AllocateStatus::kOverLimit);
  return refused(pages_.allocate(1, true, page));
}

void Pool::free_page(std::uint64_t page) noexcept {
  if (map_entry(page).raw()) pages_.release(page, 1);
}

void Pool::adopt(SlotWord word) noexcept {
  if (!word.in_pool() || !contains(word.location(), kGranule)) return;
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
  count_span(place->size_class, 1);
  has_unknown_.store(true, std::memory_order_relaxed);
}

void Pool::learn_span_of(SlotWord word) noexcept {
  if (!word.in_pool() || word.kind() == SlotWord::Kind::kRaw) return;
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

bool Pool::is_used(std::uint64_t location) noexcept {
  std::byte* const object = at(location);
  const std::uint32_t slot = first_word(object);
  if (slot >= slots_.size()) return false;
  const SlotWord word(slots_[slot].load(std::memory_order_acquire));
  if (word.has_object_at(location)) return true;
  const unsigned members = find_members(slots_, slot, location);
  if (members == 0) return false;
  // None of their words is replaced before this is done.
  members_of(object).store(static_cast<std::uint8_t>(members), std::memory_order_relaxed);
  return true;
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
    if (is_used(start + position)) {
      ++used;
    } else {
      store_first_word(at(start + position), free);
      free = position;
    }
  }
  SpanHeader& header = span(static_cast<std::uint32_t>(first) + 1);
  header = SpanHeader{0,
                      0,
                      static_cast<std::uint16_t>(free),
                      static_cast<std::uint16_t>(end),
                      static_cast<std::uint16_t>(used),
                      static_cast<std::uint16_t>(size_class & 0x1FF),
                      kFull};
  set_map_entry(first, map_entry(first).with_unknown(false));
  regroup(state, header);
  count_free(state, sizes, std::int64_t{sizes.objects} - used);
}

std::optional<Pool::DrainedSpan> Pool::begin_drain(unsigned size_class,
                                                   std::uint64_t room) noexcept {
  ClassState& state = classes_[size_class];
  const std::lock_guard guard(state.lock);
  // The class's free objects but for the span's own: free - (objects - used) of them.
  if (state.occupied == 0 || state.free + room < kSizeClasses.classes[size_class].objects) {
    return std::nullopt;
  }
  std::uint32_t name = state.lists[static_cast<unsigned>(std::countr_zero(state.occupied))];
  std::uint32_t sparsest = name;
  for (int compared = 0; name != 0 && compared < kSpansCompared; ++compared) {
    if (span(name).used < span(sparsest).used) sparsest = name;
    name = span(name).next;
  }
  SpanHeader& header = span(sparsest);
  unlink(state, header);
  header.group = kDrained;
  return DrainedSpan{sparsest - 1, size_class};
}

bool Pool::allocate_free(unsigned size_class, std::uint64_t* location) noexcept {
  ClassState& state = classes_[size_class];
  const std::lock_guard guard(state.lock);
  if (state.occupied == 0) return false;
  *location = take(state, state.lists[static_cast<unsigned>(std::bit_width(state.occupied)) - 1]);
  return true;
}

unsigned Pool::end_drain(DrainedSpan drained) noexcept {
  ClassState& state = classes_[drained.size_class];
  const SizeClass& sizes = kSizeClasses.classes[drained.size_class];
  {
    const std::lock_guard guard(state.lock);
    SpanHeader& header = span(static_cast<std::uint32_t>(drained.first) + 1);
    if (header.used != 0) {
      header.group = kFull;
      regroup(state, header);
      return 0;
    }
    count_free(state, sizes, -std::int64_t{sizes.objects});
  }
  release(drained.first, drained.size_class);
  return sizes.pages;
}

std::uint64_t Pool::free_objects(unsigned size_class) noexcept {
  const std::lock_guard guard(classes_[size_class].lock);
  return classes_[size_class].free;
}

void Pool::link(ClassState& state, SpanHeader& header, unsigned group) noexcept {
  header.group = group & 0x7F;
  header.previous = 0;
  header.next = state.lists[group];
  const std::uint32_t name = name_of(header);
  if (header.next != 0) span(header.next).previous = name;
  state.lists[group] = name;
  state.occupied |= 1u << group;
}

void Pool::unlink(ClassState& state, SpanHeader& header) noexcept {
  if (header.group >= kGroups) return;
  if (header.next != 0) span(header.next).previous = header.previous;
  if (header.previous != 0) {
    span(header.previous).next = header.next;
  } else {
    state.lists[header.group] = header.next;
    if (header.next == 0) state.occupied &= ~(1u << header.group);
  }
  header.group = kFull;
}

void Pool::regroup(ClassState& state, SpanHeader& header) noexcept {
  // kFull where all are used.
  const unsigned group = header.used * kGroups / kSizeClasses.classes[header.size_class].objects;
  if (group == header.group || header.group == kDrained) return;
  unlink(state, header);
  if (group != kFull) link(state, header, group);
}

}  // namespace pleat::store
