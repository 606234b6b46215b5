// SPDX-License-Identifier: MIT OR Apache-2.0
// How much memory the kernel's zsmalloc takes for objects that come and go, worked out: its size
// classes, how many pages it chains to a zspage, and which zspage serves next (mm/zsmalloc.c of
// Linux 6.18, CONFIG_ZSMALLOC_CHAIN_SIZE=8).
//
// Thread safety: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/page.h"

namespace pleat::bench {

class ZsmallocModel {
 public:
  ZsmallocModel();

  // What was allocated: the number of its zspage.
  using Handle = std::uint32_t;
  // An object of `bytes`, 1 to kPageSize.
  Handle allocate(std::size_t bytes);
  void free(Handle handle);
  // As a write to zram's attribute of this name: each class keeps the zspages that it needs.
  // Handles are not to be used afterwards.
  void compact();

  std::uint64_t used_bytes() const { return used_pages_ * kPageSize; }

  struct SizeClass {
    std::uint32_t bytes = 0;    // of an object with its handle
    std::uint32_t objects = 0;  // in a zspage
    std::uint32_t pages = 0;    // of a zspage
  };
  // The class of an object; those that are the same but for their size are one, the largest.
  static const SizeClass& size_class_of(std::size_t bytes);

 private:
  // Zspages by tenths of fullness; empty ones are freed, and full ones have a group of their own.
  static constexpr unsigned kGroups = 11;
  struct Zspage {
    std::uint32_t size_class = 0;
    std::uint32_t used = 0;
    std::uint32_t group = 0;
    std::uint32_t place = 0;  // in its group
  };
  using Groups = std::array<std::vector<Handle>, kGroups>;

  void regroup(Handle handle, bool is_new);
  void leave(Handle handle);

  std::vector<Groups> classes_;
  std::vector<Zspage> zspages_;
  std::vector<Handle> unused_;  // entries of zspages_
  std::uint64_t used_pages_ = 0;
};

}  // namespace pleat::bench
