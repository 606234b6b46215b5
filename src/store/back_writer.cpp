// SPDX-License-Identifier: MIT OR Apache-2.0
#include "store/back_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"
#include "store/claim.h"
#include "store/object.h"

namespace pleat::store {
namespace {

using Kind = SlotWord::Kind;

}  // namespace

Store::BackWriter::BackWriter(State& state, codec::PageCodec codec)
    : state_(state),
      session_(state, state.options.sessions_max, std::move(codec)),
      entries_(std::make_unique<Entry[]>(kEntriesMax)) {}

WritebackResult Store::BackWriter::work(const WritebackRequest& request) noexcept {
  BackgroundPriority priority;
  priority_ = &priority;
  WritebackResult result;
  result.next_slot = request.first_slot;
  if (!state_.backing->claim()) {
    result.end = WritebackEnd::kFailed;
    result.error = EBUSY;
    return result;
  }
  const std::uint64_t end_ns =
      request.duration_ns != 0 ? monotonic_ns() + request.duration_ns : UINT64_MAX;
  std::uint64_t attempts = 0;
  for (bool is_more = true; is_more;) {
    // Room is looked for only where there is something to write.
    if (!find_wanted(request, end_ns, attempts, &result)) return result;
    const auto run = next_run(&result.end);
    if (!run) return result;
    units_ = 0;
    entries_count_ = 0;
    is_more = fill(request, end_ns, *run, &attempts, &result);
    if (entries_count_ == 0) continue;
    result.error = write(*run, &result);
    if (result.error != 0) {
      give_up();
      Counters::add(session_.counters.backing_failures, 1);
      result.end = WritebackEnd::kFailed;
      return result;
    }
    publish(&result);
  }
  return result;
}

bool Store::BackWriter::wanted(const WritebackRequest& request, SlotWord word) const noexcept {
  if (!word.ages() || word.locked()) return false;
  if (request.only_idle && word.age() < SlotWord::kIdle) return false;
  const bool is_raw = word.kind() == Kind::kRaw;
  if ((request.only_huge || request.only_incompressible) && !is_raw) return false;
  return !request.only_incompressible || word.settled() || !state_.recompressor;
}

std::optional<Backing::Run> Store::BackWriter::next_run(WritebackEnd* end) noexcept {
  const StoreVariables& variables = state_.variables();
  std::uint64_t wanted = kBatchBlocks;
  if (variables.has_writeback_limit.load(std::memory_order_acquire) != 0) {
    wanted = std::min(wanted, variables.writeback_limit.load(std::memory_order_relaxed));
  }
  if (wanted < kObjectBlocksMax) {
    *end = WritebackEnd::kLimit;
    return std::nullopt;
  }
  const auto run = state_.backing->find_run(wanted);
  if (!run) *end = WritebackEnd::kFull;
  return run;
}

bool Store::BackWriter::find_wanted(const WritebackRequest& request, std::uint64_t end_ns,
                                    std::uint64_t attempts, WritebackResult* result) noexcept {
  std::uint64_t& slot = result->next_slot;
  for (; slot < std::min(request.end_slot, state_.slots.size()); ++slot) {
    const SlotWord seen(state_.slot_word(slot).load(std::memory_order_acquire));
    const bool is_wanted = wanted(request, seen);
    if (is_wanted || slot % kSlotsPerLook == 0) {
      const bool is_enough = request.pages_max != 0 && attempts == request.pages_max;
      // Each call gets on by a page at least, however long it has looked for room.
      const bool is_late = attempts != 0 && monotonic_ns() >= end_ns;
      if (is_enough || is_late || state_.errands.stopping()) {
        result->end = WritebackEnd::kPaused;
        return false;
      }
    }
    if (is_wanted) return true;
  }
  result->end = WritebackEnd::kDone;
  return false;
}

bool Store::BackWriter::fill(const WritebackRequest& request, std::uint64_t end_ns,
                             Backing::Run run, std::uint64_t* attempts,
                             WritebackResult* result) noexcept {
  while (find_wanted(request, end_ns, *attempts, result)) {
    std::uint64_t& slot = result->next_slot;
    const SlotWord seen(state_.slot_word(slot).load(std::memory_order_acquire));
    if (wanted(request, seen)) {
      if (copy(slot, seen, run) == Copy::kNoRoom) return true;
      ++*attempts;
    }
    ++slot;
  }
  return false;
}

Store::BackWriter::Copy Store::BackWriter::copy(std::uint64_t slot, SlotWord seen,
                                                Backing::Run run) noexcept {
  // What a page of a group will take is known when it is compressed anew.
  const std::size_t bytes_max = seen.grouped() ? kPageSize : seen.stored_bytes();
  if ((units_ + backing_units(bytes_max)) * kBackingUnit > run.count * kPageSize) {
    return Copy::kNoRoom;
  }
  std::byte* const object = batch_.data() + units_ * kBackingUnit;
  bool sound = false;
  priority_->raise();
  const bool is_claimed =
      claim_page(state_.slot_word(slot), seen, [&] { sound = copy_object(slot, seen, object); });
  priority_->lower();
  if (!is_claimed) return Copy::kLeft;
  const unsigned age = std::min(seen.age(), SlotWord::kIdle);
  if (!sound) {
    // Whoever reads it finds out.
    release_claim(state_.slot_word(slot), state_.pool, age);
    return Copy::kLeft;
  }
  const SlotWord stored = seen.grouped() ? encode_member(slot, object) : seen;
  const std::size_t units = backing_units(stored.stored_bytes());
  const std::size_t used = sizeof(ObjectHeader) + stored.stored_bytes();
  std::memset(object + used, 0, units * kBackingUnit - used);
  entries_[entries_count_++] = {
      slot, stored.written_back_to(run.first * (kPageSize / kBackingUnit) + units_),
      static_cast<std::uint8_t>(age)};
  units_ += units;
  return Copy::kCopied;
}

bool Store::BackWriter::copy_object(std::uint64_t slot, SlotWord seen, std::byte* object) noexcept {
  std::byte* const data = object + sizeof(ObjectHeader);
  if (seen.grouped()) {
    return session_.decode_grouped(slot, seen, session_.partial.data()) == StoreStatus::kOk;
  }
  if (seen.kind() == Kind::kRaw) {
    if (session_.decode_raw(slot, seen, data) != StoreStatus::kOk) return false;
    put_header(object, kPageSize, slot, seen);
    return true;
  }
  const std::size_t bytes = sizeof(ObjectHeader) + seen.length();
  if (!state_.pool.contains(seen.location(), bytes)) return false;
  std::memcpy(object, state_.pool.at(seen.location()), bytes);
  return has_sound_header(object, seen.length(), slot, seen);
}

SlotWord Store::BackWriter::encode_member(std::uint64_t slot, std::byte* object) noexcept {
  std::byte* const data = object + sizeof(ObjectHeader);
  const codec::Encoded encoded =
      session_.codec.encode(session_.partial.data(), data, kCompressedBytesMax);
  SlotWord word = SlotWord::raw(0, 0);
  if (encoded.size != 0) {
    word = SlotWord::compressed(encoded.id, 0, encoded.size);
  } else {
    std::memcpy(data, session_.partial.data(), kPageSize);
  }
  put_header(object, word.stored_bytes(), slot, word);
  return word;
}

int Store::BackWriter::write(Backing::Run run, WritebackResult* result) noexcept {
  const std::size_t bytes = units_ * kBackingUnit;
  run.count = (bytes + kPageSize - 1) / kPageSize;
  std::memset(batch_.data() + bytes, 0, run.count * kPageSize - bytes);
  StoreVariables& variables = state_.variables();
  const bool is_limited = variables.has_writeback_limit.load(std::memory_order_acquire) != 0;
  variables.writeback_limit.fetch_sub(is_limited ? run.count : 0, std::memory_order_relaxed);
  if (const int code = state_.backing->write(run, batch_.data()); code != 0) {
    variables.writeback_limit.fetch_add(is_limited ? run.count : 0, std::memory_order_relaxed);
    return code;
  }
  result->blocks_written += run.count;
  Counters::add(session_.counters.backing_writes, static_cast<std::int64_t>(run.count));
  return 0;
}

void Store::BackWriter::publish(WritebackResult* result) noexcept {
  priority_->raise();
  for (std::size_t i = 0; i < entries_count_; ++i) {
    const Entry& entry = entries_[i];
    state_.backing->take(entry.word);
    const auto old = replace_claimed(state_.slot_word(entry.slot), state_.pool,
                                     [&](SlotWord word) { return entry.word.after(word); });
    if (!old) {
      state_.backing->release(entry.word);
      continue;
    }
    session_.replaced(entry.slot, *old, entry.word);
    ++result->pages_written;
    result->bytes_freed += old->stored_bytes();
  }
  priority_->lower();
}

void Store::BackWriter::give_up() noexcept {
  priority_->raise();
  for (std::size_t i = 0; i < entries_count_; ++i) {
    release_claim(state_.slot_word(entries_[i].slot), state_.pool, entries_[i].age);
  }
  priority_->lower();
}

}  // namespace pleat::store
