// SPDX-License-Identifier: MIT OR Apache-2.0
// A process with pages of known content: capture_child FILE [SECONDS]. It makes FILE and maps it,
// prints "ready" and then counts in one marked-off page, to show that it runs, for SECONDS (60).
#include "capture_child.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kGroup = 4 * kPage;

std::byte* map(std::size_t pages, int fd = -1) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE;
  void* memory = ::mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (memory == MAP_FAILED) std::exit(1);
  return static_cast<std::byte*>(memory);
}

void fill(std::byte* page, std::uint64_t word) {
  for (std::size_t at = 0; at < kPage; at += sizeof(word))
    std::memcpy(page + at, &word, sizeof(word));
}

}  // namespace

int main(int argc, char** argv) {
  using namespace pleat;
  if (argc < 2) return 2;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 60;

  // One group more than needed, to begin at a multiple of 16 KiB.
  std::byte* marked = map(kMarkedPages + 4);
  marked += (kGroup - reinterpret_cast<std::uintptr_t>(marked) % kGroup) % kGroup;
  for (std::size_t i = 0; i < kMarkedPages; ++i) fill(marked + i * kPage, kMarker + i);

  std::byte* zeros = map(kZeroPages);
  std::memset(zeros, 0, kZeroPages * kPage);

  const volatile std::byte* untouched = map(kUntouchedPages);
  for (std::size_t i = 0; i < kUntouchedPages; ++i) (void)untouched[i * kPage];

  const int fd = ::open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
  for (std::size_t i = 0; i < kFilePages; ++i) {
    std::byte page[kPage];
    fill(page, kFileMarker + i);
    if (::write(fd, page, kPage) != static_cast<ssize_t>(kPage)) return 1;
  }
  std::byte* mapped = map(kFilePages, fd);
  fill(mapped, kChangedMarker);
  const volatile std::byte* file = mapped;
  for (std::size_t i = 1; i < kFilePages; ++i) (void)file[i * kPage];

  std::puts("ready");
  std::fflush(stdout);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  return 0;
}
