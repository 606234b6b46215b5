// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/store.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/random.h>

#include "base/clock.h"
#include "base/units.h"
#include "codec/group_codec.h"
#include "store/back_writer.h"
#include "store/recompressor.h"
#include "store/session.h"
#include "store/state.h"

namespace pleat::store {
namespace {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              sizeof(std::atomic<std::uint64_t>) == sizeof(SlotWord));

std::uint64_t reserve_pages_of(const StoreOptions& options) {
  const std::uint64_t pages = round_up(options.reserve_bytes, kPageSize) / kPageSize;
  return std::max<std::uint64_t>(kRegionPages, round_up(pages, kRegionPages));
}

// zram's PAGE_ALIGN() of mem_limit: a limit below a page is not "no limit".
std::uint64_t limit_pages_of(std::uint64_t bytes) {
  return bytes / kPageSize + (bytes % kPageSize != 0 ? 1 : 0);
}

std::uint64_t device_bytes_max_of(const StoreOptions& options) {
  return std::max(options.device_bytes, options.device_bytes_max);
}

// One for each session, then the errands' and the compactor's.
unsigned counters_of(const StoreOptions& options) { return options.sessions_max + 2; }

Layout layout_of(const StoreOptions& options) {
  return make_layout(device_bytes_max_of(options), reserve_pages_of(options), counters_of(options),
                     options.backing.empty() ? 0 : options.backing_bytes);
}

bool makes_groups(const StoreOptions& options) {
  const auto split = codec::split_block_option(options.recompress);
  return split && split->groups;
}

// The codec of stored pages, which have to be readable by whoever takes the store over.
Result<codec::PageCodec> open_codec(const std::string& spec, const codec::Kernels& kernels) {
  auto codec = codec::PageCodec::open(spec, kernels);
  if (codec && !codec->stands_alone()) {
    return Error{EINVAL,
                 "codec " + codec->spec() +
                     ": pages of a device must not depend on a file, which may be lost before "
                     "they are; leave out ',dict=' and use the built-in tables"};
  }
  return codec;
}

// What recompression compresses with.
Result<RecompressionCodecs> open_recompression(const StoreOptions& options) {
  auto split = codec::split_block_option(options.recompress);
  if (!split) return std::move(split).error();
  auto pages = open_codec(split->spec, *options.kernels);
  if (!pages) return std::move(pages).error();
  if (!split->groups) return RecompressionCodecs{*std::move(pages), std::nullopt};
  auto groups = codec::GroupCodec::open(pages->spec(), *options.kernels);
  if (!groups) return std::move(groups).error();
  return RecompressionCodecs{*std::move(pages), *std::move(groups)};
}

Result<void> check_device_bytes(std::uint64_t bytes) {
  if (bytes == 0 || bytes % kPageSize != 0) {
    return Error{EINVAL, "a device of " + std::to_string(bytes) +
                             " bytes is not possible; the size must be a positive multiple of " +
                             std::to_string(kPageSize)};
  }
  if (bytes > kDeviceBytesMax) {
    return Error{EINVAL, "a device of " + format_size(bytes) + " is not possible; the largest is " +
                             format_size(kDeviceBytesMax)};
  }
  return {};
}

Result<void> check_options(const StoreOptions& options) {
  for (const std::uint64_t bytes : {options.device_bytes, device_bytes_max_of(options)}) {
    if (auto good = check_device_bytes(bytes); !good) return good;
  }
  if (options.reserve_bytes > kPoolBytesMax / 4) {
    return Error{EINVAL, "a reserve of " + format_size(options.reserve_bytes) +
                             " is not possible; the largest is " + format_size(kPoolBytesMax / 4)};
  }
  if (options.kernels == nullptr) return Error{EINVAL, "the store needs a table of codec kernels"};
  if (options.sessions_max == 0) {
    return Error{EINVAL, "a store without sessions is of no use; sessions_max must be at least 1"};
  }
  auto codec = open_codec(options.codec, *options.kernels);
  if (!codec) return std::move(codec).error();
  if (options.recompress.empty()) return {};
  auto second = open_recompression(options);
  if (!second) return std::move(second).error();
  return {};
}

// Asked before it is taken: past that point the system would kill programs to provide it.
Result<void> check_available(const StoreOptions& options) {
  const Layout layout = layout_of(options);
  const std::uint64_t first_bytes =
      layout.slot_table_offset + options.device_bytes / kPageSize * sizeof(SlotWord) +
      layout.pool_offset - layout.block_counts_offset + reserve_pages_of(options) * kPageSize;
  const std::uint64_t available = available_memory();
  if (first_bytes <= available) return {};
  return Error{ENOMEM, "slot table and reserve of a device of " +
                           format_size(options.device_bytes) + " take " + format_size(first_bytes) +
                           " but only " + format_size(available) +
                           " of memory are available; make it smaller"};
}

StoreHeader header_of(const Layout& layout, std::uint64_t magic = StoreHeader::kMagic) {
  return {magic,
          StoreHeader::kVersion,
          static_cast<std::uint32_t>(kPageSize),
          layout.slots_max * kPageSize,
          layout.counters_offset,
          layout.slot_table_offset,
          layout.page_map_offset,
          layout.region_words_offset,
          layout.block_counts_offset,
          layout.pool_offset,
          layout.pool_pages};
}

Error unknown_layout(const StoreHeader& header) {
  if (header.magic != StoreHeader::kMagic) {
    return Error{EPROTO, "the store's memory is not one that was in use"};
  }
  return Error{EPROTO, "the store's memory has layout version " + std::to_string(header.version) +
                           ", and this program knows " + std::to_string(StoreHeader::kVersion) +
                           " only"};
}

}  // namespace

int to_errno(StoreStatus status) noexcept {
  switch (status) {
    case StoreStatus::kOk:
      return 0;
    case StoreStatus::kOverLimit:
    case StoreStatus::kNoReserve:
      return -ENOSPC;
    case StoreStatus::kCorrupt:
    case StoreStatus::kBackingFailed:
      return -EIO;
  }
  return -EIO;
}

Store::State::State(const StoreOptions& store_options, const Layout& store_layout,
                    Memory store_memory, std::uint64_t reserve_pages)
    : options(store_options),
      groups(makes_groups(store_options)),
      layout(store_layout),
      memory(std::move(store_memory)),
      slots(reinterpret_cast<std::atomic<std::uint64_t>*>(memory.base() + layout.slot_table_offset),
            &variables().slots),
      counters(reinterpret_cast<Counters*>(memory.base() + layout.counters_offset),
               counters_of(options)),
      session_open(options.sessions_max + std::size_t{1}),
      pages({reinterpret_cast<RegionWords*>(memory.base() + layout.region_words_offset),
             layout.regions()},
            variables().pages_used_max, reserve_pages, bell),
      pool(memory.base() + layout.pool_offset,
           {reinterpret_cast<PageMapCell*>(memory.base() + layout.page_map_offset),
            layout.pool_pages},
           slots, pages, compact_bell),
      reserve(memory, layout, pages, pool, bell),
      compactor(slots, pool, compact_bell, counters.back().compacted),
      ager(slots) {
  pages.set_limit_pages(limit_pages_of(options.mem_limit_bytes));
  if (layout.blocks == 0) return;
  backing.emplace(std::span(
      reinterpret_cast<BlockCount*>(memory.base() + layout.block_counts_offset), layout.blocks));
}

Result<std::unique_ptr<Store>> Store::create(const StoreOptions& options) {
  auto memory = make_memory(options);
  if (!memory) return std::move(memory).error();
  Memory::remove(memory->id());
  if (auto enough = check_available(options); !enough) return std::move(enough).error();
  auto store = stand_by(options, *std::move(memory));
  if (!store) return store;
  if (auto begun = (*store)->begin(); !begun) return std::move(begun).error();
  return store;
}

Result<Memory> Store::make_memory(const StoreOptions& options) {
  if (auto checked = check_options(options); !checked) return std::move(checked).error();
  return Memory::create(layout_of(options).total_bytes, options.lock_memory);
}

Result<std::uint64_t> Store::backing_bytes(const std::string& path) {
  return Backing::usable_bytes(path);
}

Result<void> Store::check_memory(const StoreOptions& options, const Memory& memory) {
  const Layout layout = layout_of(options);
  const auto& header = *reinterpret_cast<const StoreHeader*>(memory.base());
  if (memory.bytes() == layout.total_bytes && header == header_of(layout)) {
    return {};
  }
  return unknown_layout(header);
}

Result<std::unique_ptr<Store>> Store::stand_by(const StoreOptions& options, Memory memory) {
  if (auto checked = check_options(options); !checked) return std::move(checked).error();
  const Layout layout = layout_of(options);
  if (memory.bytes() != layout.total_bytes) {
    return Error{EPROTO, "the store's memory was made for another size of device"};
  }
  if (const int code = memory.populate(0, layout.slot_table_offset); code != 0) {
    return errno_error(code, "cannot get memory for the store's header");
  }
  auto state =
      std::make_unique<State>(options, layout, std::move(memory), reserve_pages_of(options));
  const std::uint64_t slots = state->slots.size();  // 0 where the memory is new
  const std::uint64_t wanted = slots != 0 ? slots : options.device_bytes / kPageSize;
  if (auto provided = state->provide_slots(wanted); !provided) return std::move(provided).error();
  if (auto started = state->reserve.start(options.io_flusher); !started) {
    return std::move(started).error();
  }
  if (auto started = state->compactor.start(options.io_flusher); !started) {
    return std::move(started).error();
  }
  if (auto started = state->ager.start(options.io_flusher); !started) {
    return std::move(started).error();
  }
  if (auto opened = state->open_backing(); !opened) return std::move(opened).error();
  if (auto prepared = state->prepare_errands(); !prepared) return std::move(prepared).error();
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

Result<void> Store::begin() {
  auto& header = *reinterpret_cast<StoreHeader*>(state_->memory.base());
  const StoreHeader wanted = header_of(state_->layout);
  const std::atomic_ref<std::uint64_t> magic(header.magic);
  const bool is_new = magic.load(std::memory_order_acquire) == 0;
  if (!is_new && header != wanted) return unknown_layout(header);
  if (is_new) {
    if (auto begun = state_->begin_backing(); !begun) return begun;
  }
  if (is_new) state_->slots.set_size(state_->options.device_bytes / kPageSize);
  if (auto provided = follow_size(); !provided) return provided;
  // Where the last process was killed before the magic was there, it has left memory all the same.
  if (auto adopted = state_->adopt(); !adopted) return adopted;
  state_->ager.begin();
  if (!is_new) {
    state_->bell.ring();
    return {};
  }
  if (auto filled = state_->reserve.fill_first(); !filled) return filled;
  header = header_of(state_->layout, 0);
  magic.store(wanted.magic, std::memory_order_release);
  return {};
}

Result<void> Store::State::open_backing() {
  if (!backing) return {};
  if (const int code = memory.populate(layout.block_counts_offset,
                                       layout.pool_offset - layout.block_counts_offset);
      code != 0) {
    return errno_error(code, "cannot get memory for the backing device's blocks");
  }
  backing_state = backing->open(options.backing);
  const bool is_new =
      std::atomic_ref(reinterpret_cast<StoreHeader*>(memory.base())->magic).load() == 0;
  if (is_new) return backing_state;
  if (backing_state) backing_state = backing->check(variables().backing_id);
  return {};
}

Result<void> Store::State::begin_backing() {
  if (!backing) return {};
  BackingId& id = variables().backing_id;
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return errno_error("cannot make a label for the backing device");
  }
  return backing->begin(id);
}

Result<void> Store::State::prepare_errands() {
  if (!options.recompress.empty()) {
    auto codecs = open_recompression(options);
    if (!codecs) return std::move(codecs).error();
    recompressor = std::make_unique<Recompressor>(*this, *std::move(codecs));
  }
  if (backing) {
    auto codec = codec::PageCodec::open(options.codec, *options.kernels);
    if (!codec) return std::move(codec).error();
    back_writer = std::make_unique<BackWriter>(*this, *std::move(codec));
  }
  if (!recompressor && !back_writer) return {};
  return errands.start("pleat-errands", options.io_flusher);
}

Result<void> Store::State::provide_slots(std::uint64_t count) {
  if (count == 0 || count > layout.slots_max) {
    return Error{EPROTO, "the store's memory says that the device has " + std::to_string(count) +
                             " pages, which it has no room for"};
  }
  if (count > slots_ready) {
    const std::uint64_t from = slots_ready * sizeof(SlotWord) / kPageSize * kPageSize;
    const std::uint64_t to = round_up(count * sizeof(SlotWord), kPageSize);
    if (const int code = memory.populate(layout.slot_table_offset + from, to - from); code != 0) {
      return errno_error(code, "cannot get memory for the slot table; make the device smaller");
    }
  }
  slots_ready = count;
  return {};
}

Result<void> Store::State::adopt() {
  if (auto found = reserve.find_metadata(); !found) return found;
  reserve.visit_regions([this](std::uint64_t region) { pages.begin_adoption(region); });
  WordCounts counts;
  if (backing) backing->begin_adoption();
  for (std::uint64_t slot = 0; slot < slots.size(); ++slot) {
    // Whoever held the lock is gone, and a locked word is always whole.
    const SlotWord word = SlotWord(slots[slot].load(std::memory_order_relaxed)).without_lock();
    slots[slot].store(word.bits(), std::memory_order_relaxed);
    counts.add(word, 1);
    if (word.written_back()) {
      if (backing) backing->take(word);
    } else {
      pool.adopt(word);
    }
  }
  for (Counters& part : counters) part.forget_stored();
  counts.count_in(counters[0]);
  reserve.visit_regions([this](std::uint64_t region) { pages.end_adoption(region); });
  return {};
}

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store::Session>> Store::open_session() {
  auto codec = codec::PageCodec::open(state_->options.codec, *state_->options.kernels);
  if (!codec) return std::move(codec).error();
  std::size_t index = 0;
  {
    const std::lock_guard guard(state_->sessions_mutex);
    while (index < state_->options.sessions_max && state_->session_open[index]) ++index;
    if (index == state_->options.sessions_max) {
      return Error{ENFILE, "all " + std::to_string(index) + " sessions of the store are open"};
    }
    state_->session_open[index] = true;
  }
  return std::unique_ptr<Session>(
      new Session(std::make_unique<Session::Impl>(*state_, index, std::move(*codec))));
}

std::uint64_t Store::slots() const noexcept { return state_->slots.size(); }
std::uint64_t Store::slots_max() const noexcept { return state_->layout.slots_max; }

Result<void> Store::follow_size() {
  const std::uint64_t slots = state_->slots.size();
  // A store that nobody has begun yet has the size of the options.
  return slots == 0 ? Result<void>() : state_->provide_slots(slots);
}

Result<void> Store::check_size(std::uint64_t device_bytes) const {
  if (auto good = check_device_bytes(device_bytes); !good) return good;
  const std::uint64_t largest = slots_max() * kPageSize;
  if (device_bytes > largest) {
    return Error{ERANGE, "the device was made for sizes up to " + format_size(largest) +
                             " (--size-max); make a new one"};
  }
  const std::uint64_t fresh = device_bytes / kPageSize;
  const std::uint64_t old = slots();
  if (fresh > old && (fresh - old) * sizeof(SlotWord) > available_memory()) {
    return Error{ENOMEM, "the slot table of a device of " + format_size(device_bytes) + " takes " +
                             format_size((fresh - old) * sizeof(SlotWord)) +
                             " more, which are not available"};
  }
  for (std::uint64_t slot = fresh; slot < old; ++slot) {
    if (SlotWord(state_->slot_word(slot).load(std::memory_order_acquire)).empty()) continue;
    return Error{EBUSY, "the page at " + std::to_string(slot * kPageSize) +
                            " is stored, which lies beyond a size of " + format_size(device_bytes) +
                            "; discard what is there first (blkdiscard --offset)"};
  }
  return {};
}

Result<void> Store::resize(std::uint64_t device_bytes) {
  if (auto good = check_size(device_bytes); !good) return good;
  const std::uint64_t old = slots();
  const std::uint64_t fresh = device_bytes / kPageSize;
  if (auto provided = state_->provide_slots(fresh); !provided) return provided;
  state_->slots.set_size(fresh);
  const std::uint64_t from = round_up(fresh * sizeof(SlotWord), kPageSize);
  const std::uint64_t to = round_up(old * sizeof(SlotWord), kPageSize);
  // The versions of empty words are forgotten with them, as nobody has copied one.
  if (from < to) (void)state_->memory.give_back(state_->layout.slot_table_offset + from, to - from);
  return {};
}

StoreStats Store::stats() const noexcept {
  StoreStats stats;
  // A part may be below zero, and so may a sum of parts that change while they are read.
  const auto sum = [this](Counters::Count Counters::*count) {
    std::int64_t total = 0;
    for (const Counters& part : state_->counters) {
      total += (part.*count).load(std::memory_order_relaxed);
    }
    return static_cast<std::uint64_t>(std::max<std::int64_t>(total, 0));
  };
  stats.orig_data_size = sum(&Counters::pages) * kPageSize;
  stats.compr_data_size = sum(&Counters::compressed_bytes);
  stats.same_pages = sum(&Counters::same_filled);
  stats.huge_pages = sum(&Counters::raw);
  stats.huge_pages_since = sum(&Counters::raw_ever);
  stats.failed_reads = sum(&Counters::failed_reads);
  stats.failed_writes = sum(&Counters::failed_writes);
  stats.notify_free = sum(&Counters::freed);
  stats.corrupt_pages = sum(&Counters::corrupt);
  stats.no_reserve_writes = sum(&Counters::no_reserve);
  stats.over_limit_writes = sum(&Counters::over_limit);
  stats.pages_recompressed = sum(&Counters::recompressed);
  stats.recompress_saved = sum(&Counters::recompress_saved);
  stats.pages_written_back = sum(&Counters::written_back);
  stats.backing_reads = sum(&Counters::backing_reads);
  stats.backing_writes = sum(&Counters::backing_writes);
  stats.backing_failures = sum(&Counters::backing_failures);
  stats.pages_grouped = sum(&Counters::grouped);
  if (const auto& backing = state_->backing) {
    stats.backing_used = backing->used_blocks();
    stats.backing_bytes = backing->blocks() * kPageSize;
  }
  const StoreVariables& variables = state_->variables();
  if (variables.has_writeback_limit.load(std::memory_order_acquire) != 0) {
    stats.writeback_limit = variables.writeback_limit.load(std::memory_order_relaxed) * kPageSize;
  }
  const PageAllocator& pages = state_->pages;
  stats.mem_used_total = pages.used_pages() * kPageSize;
  stats.mem_used_max = pages.used_pages_max() * kPageSize;
  stats.mem_limit = pages.limit_pages() * kPageSize;
  stats.reserve_bytes = pages.ready_pages() * kPageSize;
  stats.device_bytes = slots() * kPageSize;
  stats.device_bytes_max = slots_max() * kPageSize;
  stats.pages_compacted = state_->compactor.freed_pages();
  stats.slot_table_bytes = slots() * sizeof(SlotWord);
  stats.metadata_bytes = sum(&Counters::objects) * sizeof(ObjectHeader) +
                         stats.pages_grouped * sizeof(GroupHeader) / kGroupPages +
                         state_->pool.spans() * kSpanHeaderBytes +
                         state_->reserve.metadata_bytes() + pages.index_bytes() +
                         state_->layout.slot_table_offset - state_->layout.counters_offset +
                         state_->layout.blocks;
  return stats;
}

std::uint64_t Store::resident_bytes() const { return state_->memory.resident_bytes(); }

void Store::set_mem_limit(std::uint64_t bytes) noexcept {
  state_->pages.set_limit_pages(limit_pages_of(bytes));
}

void Store::reset_mem_used_max() noexcept { state_->pages.reset_used_max(); }

std::uint64_t Store::compact() noexcept { return state_->compactor.compact(); }

Result<std::uint64_t> Store::mark_idle(std::uint64_t age_seconds) {
  if (const auto age = age_after(age_seconds)) return state_->ager.mark_idle(*age);
  return Error{ERANGE, "pages older than " + std::to_string(kAgeSecondsMax) +
                           " seconds are not told apart; choose an age up to that"};
}

Result<RecompressResult> Store::recompress(const RecompressRequest& request) {
  if (!state_->recompressor) {
    return Error{EOPNOTSUPP,
                 "the device has no codec for recompression; it is chosen when it is made"};
  }
  if (request.bytes_min > kPageSize) {
    return Error{EINVAL, "no stored page has " + std::to_string(request.bytes_min) +
                             " bytes; choose a threshold of at most 4096"};
  }
  RecompressResult result;
  state_->errands.run([&] { result = state_->recompressor->work(request); });
  return result;
}

Result<WritebackResult> Store::write_back(const WritebackRequest& request) {
  if (!state_->back_writer) {
    return Error{EOPNOTSUPP, "the device has no backing device; it is chosen when it is made"};
  }
  if (!state_->backing_state) return state_->backing_state.error();
  WritebackResult result;
  state_->errands.run([&] { result = state_->back_writer->work(request); });
  return result;
}

void Store::set_writeback_limit(std::optional<std::uint64_t> bytes) noexcept {
  StoreVariables& variables = state_->variables();
  // Nobody else changes either but the errand thread, which somebody waits for.
  variables.writeback_limit.store(bytes.value_or(0) / kPageSize, std::memory_order_relaxed);
  variables.has_writeback_limit.store(bytes ? 1 : 0, std::memory_order_release);
}

void Store::claim_backing() noexcept {
  // Where it fails the next writeback tries again, and does not write without it.
  if (state_->backing && state_->backing_state) (void)state_->backing->claim();
}

bool Store::has_backing() const noexcept { return state_->backing.has_value(); }

int Store::backing_descriptor() const noexcept {
  return state_->backing ? state_->backing->descriptor() : -1;
}

const Result<void>& Store::backing_state() const noexcept { return state_->backing_state; }

bool Store::settle(unsigned timeout_ms) noexcept {
  // What compaction frees is the reserve's to give back.
  const std::uint64_t deadline_ns = monotonic_ns() + std::uint64_t{timeout_ms} * 1'000'000;
  return state_->compactor.settle(deadline_ns) && state_->reserve.settle(timeout_ms);
}

}  // namespace pleat::store
