// SPDX-License-Identifier: MIT OR Apache-2.0
#include "zsmalloc_model.h"

#include <algorithm>

namespace pleat::bench {
namespace {

constexpr std::uint32_t kSizeMin = 32;
constexpr std::uint32_t kSizeStep = 16;  // ZS_SIZE_CLASS_DELTA
constexpr std::uint32_t kChainMax = 8;
constexpr std::uint32_t kHandleBytes = 8;
constexpr std::size_t kSizes = (kPageSize - kSizeMin) / kSizeStep + 1;

using SizeClass = ZsmallocModel::SizeClass;
using ClassTable = std::array<SizeClass, kSizes>;

constexpr ClassTable make_classes() {
  ClassTable classes{};
  for (std::size_t i = kSizes; i-- > 0;) {
    const auto bytes = static_cast<std::uint32_t>(kSizeMin + i * kSizeStep);
    // calculate_zspage_chain_size(): the first of those that waste the least.
    SizeClass best;
    std::uint32_t least = UINT32_MAX;
    for (std::uint32_t pages = 1; pages <= kChainMax; ++pages) {
      const auto total = static_cast<std::uint32_t>(pages * kPageSize);
      if (total % bytes < least) {
        least = total % bytes;
        best = {bytes, total / bytes, pages};
      }
    }
    const bool merges = i + 1 < kSizes && classes[i + 1].pages == best.pages &&
                        classes[i + 1].objects == best.objects;
    classes[i] = merges ? classes[i + 1] : best;
  }
  return classes;
}

constexpr ClassTable kClasses = make_classes();

// What is larger is kept as a whole page, and zram does so itself (zs_huge_class_size()).
constexpr std::uint32_t huge_size() {
  for (std::size_t i = kSizes; i-- > 0;) {
    if (kClasses[i].objects != 1) return kClasses[i].bytes;
  }
  return 0;
}
// Documentation/mm/zsmalloc.rst.
static_assert(huge_size() == 3632);

constexpr std::size_t index_of(std::size_t bytes) {
  const std::size_t with_handle = bytes + kHandleBytes;
  if (with_handle > huge_size()) return kSizes - 1;
  return with_handle <= kSizeMin ? 0 : (with_handle - kSizeMin + kSizeStep - 1) / kSizeStep;
}
static_assert(kClasses[index_of(kPageSize)].pages == 1 && kClasses[index_of(3624)].pages == 8);

// The first size that shares the class.
constexpr std::size_t class_number(std::size_t index) {
  while (index > 0 && kClasses[index - 1].bytes == kClasses[index].bytes) --index;
  return index;
}

}  // namespace

ZsmallocModel::ZsmallocModel() : classes_(kSizes) {}

const SizeClass& ZsmallocModel::size_class_of(std::size_t bytes) {
  return kClasses[index_of(bytes)];
}

ZsmallocModel::Handle ZsmallocModel::allocate(std::size_t bytes) {
  const std::size_t number = class_number(index_of(bytes));
  Groups& groups = classes_[number];
  for (unsigned group = kGroups - 1; group-- > 0;) {
    if (groups[group].empty()) continue;
    const Handle handle = groups[group].back();
    ++zspages_[handle].used;
    regroup(handle, false);
    return handle;
  }
  if (unused_.empty()) {
    unused_.push_back(static_cast<Handle>(zspages_.size()));
    zspages_.emplace_back();
  }
  const Handle handle = unused_.back();
  unused_.pop_back();
  zspages_[handle] = {static_cast<std::uint32_t>(number), 1, 0, 0};
  used_pages_ += kClasses[number].pages;
  regroup(handle, true);
  return handle;
}

void ZsmallocModel::free(Handle handle) {
  Zspage& zspage = zspages_[handle];
  --zspage.used;
  if (zspage.used != 0) {
    regroup(handle, false);
    return;
  }
  leave(handle);
  used_pages_ -= kClasses[zspage.size_class].pages;
  unused_.push_back(handle);
}

void ZsmallocModel::leave(Handle handle) {
  const Zspage& zspage = zspages_[handle];
  std::vector<Handle>& group = classes_[zspage.size_class][zspage.group];
  group[zspage.place] = group.back();
  zspages_[group[zspage.place]].place = zspage.place;
  group.pop_back();
}

void ZsmallocModel::regroup(Handle handle, bool is_new) {
  Zspage& zspage = zspages_[handle];
  const std::uint32_t group = zspage.used * 10 / kClasses[zspage.size_class].objects;
  if (!is_new) {
    if (group == zspage.group) return;
    leave(handle);
  }
  zspage.group = group;
  std::vector<Handle>& list = classes_[zspage.size_class][group];
  zspage.place = static_cast<std::uint32_t>(list.size());
  list.push_back(handle);
}

void ZsmallocModel::compact() {
  used_pages_ = 0;
  for (std::size_t number = 0; number < kSizes; ++number) {
    std::uint64_t objects = 0;
    for (const std::vector<Handle>& group : classes_[number]) {
      for (const Handle handle : group) objects += zspages_[handle].used;
    }
    const SizeClass& size_class = kClasses[number];
    used_pages_ += (objects + size_class.objects - 1) / size_class.objects * size_class.pages;
  }
}

}  // namespace pleat::bench
