// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/store_subject.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "base/page.h"
#include "codec/page_codec.h"
#include "store/size_class.h"

namespace pleat::tool {
namespace {

// How long the store may take to bring its reserve to the target before a pass.
constexpr unsigned kSettleTimeoutMs = 2000;

// A codec and the blocks of a page set, packed.
struct PackedBlocks {
  explicit PackedBlocks(codec::PageCodec opened) : codec(std::move(opened)) {}

  codec::PageCodec codec;
  std::vector<std::byte> scratch;
  PageBuffer blocks;
  std::vector<std::size_t> offsets;
  std::vector<std::size_t> sizes;  // kPageSize means raw
};

// Packs the blocks of the pages in a shuffled order, each at a multiple of 16 bytes.
void pack(const PageSet& set, std::uint64_t seed, PackedBlocks& packed) {
  std::vector<std::size_t> order(set.count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937_64(seed));
  packed.scratch.resize(packed.codec.bound());
  packed.blocks = PageBuffer(set.count * kPageSize);
  packed.offsets.resize(set.count);
  packed.sizes.resize(set.count);
  std::size_t end = 0;
  for (const std::size_t i : order) {
    std::size_t size =
        packed.codec.compress(set.page(i), packed.scratch.data(), packed.scratch.size());
    const std::byte* bytes = packed.scratch.data();
    if (size == 0 || size > store::kCompressedBytesMax) {
      size = kPageSize;
      bytes = set.page(i);
    }
    std::memcpy(packed.blocks.data() + end, bytes, size);
    packed.offsets[i] = end;
    packed.sizes[i] = size;
    end += (size + 15) / 16 * 16;
  }
}

}  // namespace

Result<StoreSubject> store_subject(std::string name, store::Store& store,
                                   std::uint64_t first_slot) {
  Result<std::unique_ptr<store::Store::Session>> opened = store.open_session();
  if (!opened) return std::move(opened).error();
  const std::shared_ptr<store::Store::Session> session = std::move(*opened);
  StoreSubject subject;
  subject.name = std::move(name);
  subject.write = [session, first_slot](std::uint64_t slot, const std::byte* page) {
    return session->write(first_slot + slot, page) == store::StoreStatus::kOk;
  };
  subject.read = [session, first_slot](std::uint64_t slot, std::byte* page) {
    return session->read(first_slot + slot, page) == store::StoreStatus::kOk;
  };
  subject.discard = [session, first_slot](std::uint64_t slot) {
    session->discard(first_slot + slot, 1);
    return true;
  };
  subject.settle = [&store] { store.settle(kSettleTimeoutMs); };
  return subject;
}

Result<StoreSubject> codec_alone_subject(const PageSet& set, std::string_view spec,
                                         const codec::Kernels& kernels, std::uint64_t seed) {
  Result<codec::PageCodec> opened = codec::PageCodec::open(spec, kernels);
  if (!opened) return std::move(opened).error();
  const auto packed = std::make_shared<PackedBlocks>(std::move(*opened));
  pack(set, seed, *packed);
  StoreSubject subject;
  subject.name = packed->codec.spec() + "/" + kernels.name + " alone";
  subject.write = [packed](std::uint64_t, const std::byte* page) {
    // 0 is an answer too: a page that does not fit is stored raw.
    packed->codec.compress(page, packed->scratch.data(), store::kCompressedBytesMax);
    return true;
  };
  subject.read = [packed](std::uint64_t slot, std::byte* page) {
    const std::byte* block = packed->blocks.data() + packed->offsets[slot];
    if (packed->sizes[slot] != kPageSize) {
      return packed->codec.decompress(block, packed->sizes[slot], page);
    }
    std::memcpy(page, block, kPageSize);
    return true;
  };
  return subject;
}

StoreSubject memcpy_store_subject(std::size_t slots) {
  const auto memory = std::make_shared<PageBuffer>(slots * kPageSize);
  StoreSubject subject;
  subject.name = "memcpy";
  subject.write = [memory](std::uint64_t slot, const std::byte* page) {
    std::memcpy(memory->page(slot), page, kPageSize);
    return true;
  };
  subject.read = [memory](std::uint64_t slot, std::byte* page) {
    std::memcpy(page, memory->page(slot), kPageSize);
    return true;
  };
  return subject;
}

}  // namespace pleat::tool
