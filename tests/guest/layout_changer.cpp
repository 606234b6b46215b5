// SPDX-License-Identifier: MIT OR Apache-2.0
// Writes another layout version into the header of the only store that there is.
//
//   layout_changer VERSION
//
// Exit status: 0; 1 where there is no store.

#include <sys/shm.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "store/layout.h"

int main(int argc, char** argv) {
  using pleat::store::StoreHeader;
  if (argc != 2) return 1;
  shmid_ds status{};
  const int last = shmctl(0, SHM_INFO, &status);
  for (int index = 0; index <= last; ++index) {
    const int id = shmctl(index, SHM_STAT, &status);
    if (id < 0 || status.shm_segsz < sizeof(StoreHeader)) continue;
    void* const memory = shmat(id, nullptr, 0);
    if (memory == reinterpret_cast<void*>(-1)) continue;
    auto* const header = static_cast<StoreHeader*>(memory);
    if (header->magic == StoreHeader::kMagic) {
      header->version = static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 10));
      return 0;
    }
    shmdt(memory);
  }
  std::fprintf(stderr, "layout_changer: there is no store\n");
  return 1;
}
