// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/request.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/page.h"

namespace pleat::device {
namespace {

constexpr std::byte kZeroPage[kPageSize]{};

// The part of one page that a request covers.
struct PagePart {
  std::uint64_t slot;
  std::size_t offset;  // in the page
  std::size_t length;

  bool whole() const noexcept { return length == kPageSize; }
};

// The part of the page at device offset `offset` that a range of `length` bytes from there covers.
PagePart first_part(std::uint64_t offset, std::size_t length) noexcept {
  const std::size_t in_page = static_cast<std::size_t>(offset % kPageSize);
  return {offset / kPageSize, in_page, std::min(length, kPageSize - in_page)};
}

int read(store::Store::Session& session, std::uint64_t offset, std::size_t length, std::byte* data,
         std::byte* page) noexcept {
  while (length != 0) {
    const PagePart part = first_part(offset, length);
    const store::StoreStatus status = session.read(part.slot, part.whole() ? data : page);
    if (status != store::StoreStatus::kOk) return store::to_errno(status);
    if (!part.whole()) std::memcpy(data, page + part.offset, part.length);
    offset += part.length;
    length -= part.length;
    data += part.length;
  }
  return 0;
}

int write(store::Store::Session& session, std::uint64_t offset, std::size_t length,
          const std::byte* data) noexcept {
  while (length != 0) {
    const PagePart part = first_part(offset, length);
    const store::StoreStatus status =
        part.whole() ? session.write(part.slot, data)
                     : session.write_part(part.slot, part.offset, data, part.length);
    if (status != store::StoreStatus::kOk) return store::to_errno(status);
    offset += part.length;
    length -= part.length;
    data += part.length;
  }
  return 0;
}

// Frees the pages that lie wholly in the range, and zeroes what it covers of those at its ends
// where `zero_edges` asks for it.
int free_pages(store::Store::Session& session, std::uint64_t offset, std::size_t length,
               bool zero_edges) noexcept {
  const std::uint64_t end = offset + length;
  if (offset % kPageSize != 0) {
    const PagePart head = first_part(offset, length);
    if (zero_edges) {
      if (const int error = write(session, offset, head.length, kZeroPage)) return error;
    }
    offset += head.length;
  }
  const std::uint64_t pages = (end - offset) / kPageSize;
  if (pages != 0) session.discard(offset / kPageSize, pages);
  offset += pages * kPageSize;
  if (!zero_edges || offset == end) return 0;
  return write(session, offset, static_cast<std::size_t>(end - offset), kZeroPage);
}

}  // namespace

Result<RequestServer> RequestServer::open(store::Store& store) {
  auto session = store.open_session();
  if (!session) return std::move(session).error();
  return RequestServer(store, std::move(session).value());
}

RequestServer::RequestServer(store::Store& store, std::unique_ptr<store::Store::Session> session)
    : store_(&store),
      session_(std::move(session)),
      page_(std::make_unique<std::byte[]>(kPageSize)) {}

RequestServer::RequestServer(RequestServer&&) noexcept = default;
RequestServer::~RequestServer() = default;

bool RequestServer::is_slow(Operation operation, std::uint64_t offset,
                            std::size_t length) const noexcept {
  const std::uint64_t device_bytes = store_->slots() * kPageSize;
  // What is no range of the device fails at once.
  if (length == 0 || offset > device_bytes || length > device_bytes - offset) return false;
  const std::uint64_t first = offset / kPageSize;
  const std::uint64_t last = (offset + length - 1) / kPageSize;
  if (operation == Operation::kRead) return session_->waits_for_backing(first, last - first + 1);
  if (operation == Operation::kFlush || operation == Operation::kUnsupported) return false;
  if (session_->waits_for_part(first, last - first + 1)) return true;
  if (operation == Operation::kDiscard) return false;
  // Of these only the pages at the ends are read, where they are covered in part.
  const bool is_first = offset % kPageSize != 0 && session_->waits_for_backing(first, 1);
  return is_first || ((offset + length) % kPageSize != 0 && session_->waits_for_backing(last, 1));
}

int RequestServer::serve(Operation operation, std::uint64_t offset, std::size_t length,
                         std::byte* data) noexcept {
  if (operation == Operation::kFlush) return 0;
  if (operation == Operation::kUnsupported) return -EOPNOTSUPP;
  const std::uint64_t device_bytes = store_->slots() * kPageSize;
  // The length is compared with what lies behind the offset, so that no sum can overflow.
  if ((offset | length) % kSectorSize != 0 || offset > device_bytes ||
      length > device_bytes - offset) {
    return -EINVAL;
  }
  switch (operation) {
    case Operation::kRead:
      return read(*session_, offset, length, data, page_.get());
    case Operation::kWrite:
      return write(*session_, offset, length, data);
    case Operation::kDiscard:
      return free_pages(*session_, offset, length, false);
    case Operation::kWriteZeroes:
      return free_pages(*session_, offset, length, true);
    case Operation::kFlush:
    case Operation::kUnsupported:
      break;
  }
  return 0;
}

}  // namespace pleat::device
