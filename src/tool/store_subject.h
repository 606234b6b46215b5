// SPDX-License-Identifier: MIT OR Apache-2.0
// Something that holds pages by slot, as the store benchmark sees it: the store, kernel zram, and
// what they are measured against, the codec alone and memcpy. All are called through the same
// indirection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "codec/kernels.h"
#include "store/store.h"
#include "tool/page_set.h"

namespace pleat::tool {

struct StoreSubject {
  std::string name;
  // Whether read() gives back what write() got.
  bool verify = true;
  // Each returns whether it succeeded. `discard` is empty where there is nothing like it.
  std::function<bool(std::uint64_t slot, const std::byte* page)> write;
  std::function<bool(std::uint64_t slot, std::byte* page)> read;
  std::function<bool(std::uint64_t slot)> discard;
  // Called before a pass over empty slots, outside of the time that is measured.
  std::function<void()> settle = [] {};
};

// One session of `store`, whose slots begin at first_slot. The store must outlive it.
Result<StoreSubject> store_subject(std::string name, store::Store& store, std::uint64_t first_slot);

// The codec alone: write compresses the page into a buffer that is used again and again; read
// decompresses the block of page `slot` of `set`, made beforehand and packed with the others in an
// order of `seed`, as in a pool. A page that the store would keep raw is read by
// memcpy.
Result<StoreSubject> codec_alone_subject(const PageSet& set, std::string_view spec,
                                         const codec::Kernels& kernels, std::uint64_t seed);

// Copies the page to the slot and back.
StoreSubject memcpy_store_subject(std::size_t slots);

}  // namespace pleat::tool
