// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/zram_peer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <utility>

#include "base/page.h"
#include "tool/page_buffer.h"

namespace pleat::tool {
namespace {

constexpr const char* kHotAdd = "/sys/class/zram-control/hot_add";
constexpr const char* kHotRemove = "/sys/class/zram-control/hot_remove";
constexpr timespec kZramPoll = {0, 10'000'000};

Result<void> write_attribute(const std::string& path, const std::string& value) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return errno_error("cannot open " + path);
  if (::write(fd.get(), value.data(), value.size()) < 0) {
    return errno_error(fmt::format("cannot write {} to {}", value, path));
  }
  return {};
}

// Reading hot_add makes a device and gives its number.
Result<int> hot_add() {
  const UniqueFd fd(::open(kHotAdd, O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return Error{ENOENT, "this kernel has no zram to compare with"};
  if (!fd) return errno_error(fmt::format("cannot open {}; run as root", kHotAdd));
  std::array<char, 16> text{};
  if (::read(fd.get(), text.data(), text.size() - 1) <= 0) {
    return errno_error("cannot make a zram device");
  }
  return std::atoi(text.data());
}

// The node appears when udev or devtmpfs gets to it.
UniqueFd open_device(int id) {
  const std::string path = fmt::format("/dev/zram{}", id);
  UniqueFd fd;
  for (int attempt = 0; attempt < 100; ++attempt) {
    fd.reset(::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
    if (fd || errno != ENOENT) break;
    ::nanosleep(&kZramPoll, nullptr);
  }
  return fd;
}

off_t offset_of(std::uint64_t slot) { return static_cast<off_t>(slot * kPageSize); }

StoreSubject direct_io_subject(int device, std::uint64_t first_slot) {
  StoreSubject subject;
  subject.write = [=](std::uint64_t slot, const std::byte* page) {
    return ::pwrite(device, page, kPageSize, offset_of(first_slot + slot)) == kPageSize;
  };
  subject.read = [=](std::uint64_t slot, std::byte* page) {
    return ::pread(device, page, kPageSize, offset_of(first_slot + slot)) == kPageSize;
  };
  subject.discard = [=](std::uint64_t slot) {
    std::array<std::uint64_t, 2> range = {(first_slot + slot) * kPageSize, kPageSize};
    return ::ioctl(device, BLKDISCARD, range.data()) == 0;
  };
  return subject;
}

}  // namespace

std::string ZramPeer::attribute(const char* name) const {
  return fmt::format("/sys/block/zram{}/{}", id_, name);
}

Result<std::unique_ptr<ZramPeer>> ZramPeer::create(std::uint64_t bytes,
                                                   const std::string& algorithm) {
  std::unique_ptr<ZramPeer> peer(new ZramPeer);
  Result<int> id = hot_add();
  if (!id) return std::move(id).error();
  peer->id_ = *id;
  Result<void> done = peer->set_up(bytes, algorithm);
  if (!done) return std::move(done).error();
  return peer;
}

Result<void> ZramPeer::set_up(std::uint64_t bytes, const std::string& algorithm) {
  Result<void> chosen = write_attribute(attribute("comp_algorithm"), algorithm);
  if (!chosen) return chosen;
  Result<void> sized = write_attribute(attribute("disksize"), std::to_string(bytes));
  if (!sized) return sized;
  device_ = open_device(id_);
  if (!device_) return errno_error(fmt::format("cannot open /dev/zram{}", id_));
  return {};
}

ZramPeer::~ZramPeer() {
  device_.reset();
  if (id_ < 0) return;
  // udev may still hold the device for a moment, which makes it busy.
  for (int attempt = 0; attempt < 200; ++attempt) {
    if (write_attribute(kHotRemove, std::to_string(id_))) return;
    ::nanosleep(&kZramPoll, nullptr);
  }
}

StoreSubject ZramPeer::subject(std::uint64_t first_slot) {
  StoreSubject subject = direct_io_subject(device_.get(), first_slot);
  subject.name = "kernel zram";
  return subject;
}

StoreSubject ZramPeer::same_filled_subject(std::uint64_t first_slot) {
  StoreSubject subject = direct_io_subject(device_.get(), first_slot);
  subject.name = "kernel zram, same-filled";
  subject.verify = false;
  const auto zeros = std::make_shared<PageBuffer>(kPageSize);
  subject.write = [zeros, write = subject.write](std::uint64_t slot, const std::byte*) {
    return write(slot, zeros->data());
  };
  return subject;
}

Result<ZramPeer::Memory> ZramPeer::memory() const {
  std::ifstream file(attribute("mm_stat"));
  Memory memory;
  if (!(file >> memory.stored_bytes >> memory.compressed_bytes >> memory.used_bytes)) {
    return errno_error(EIO, "cannot read " + attribute("mm_stat"));
  }
  return memory;
}

Result<void> ZramPeer::compact() { return write_attribute(attribute("compact"), "1"); }

}  // namespace pleat::tool
