// SPDX-License-Identifier: MIT OR Apache-2.0
// The anchor: a process that shares this one's memory, and outlives it for a moment.
//
// A process that dies gives back its memory first, about 100 ms a GiB, and then closes its files,
// which is what a successor waits for. Where another process has the same memory (CLONE_VM) it
// merely leaves it; the other one gives it back when nobody waits.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace pleat {

// Mapped memory of a file, which stays open as long as it is mapped.
struct MappedFile {
  void* address = nullptr;
  std::size_t bytes = 0;
  MappedFile* next = nullptr;  // make_anchor()'s
};

// Makes the anchor, once in a process, which must not dump core: the kernel ends all who share the
// memory of one that does. The anchor has none of its files, wakes at its end, however it comes,
// and ends by itself. It needs Linux 5.9.
Result<void> make_anchor();

// Has the anchor unmap the file as soon as this process is dead. `file` must last as long as the
// process, and may be unmapped before. From any thread; allocates nothing.
void unmap_at_end(MappedFile& file) noexcept;

}  // namespace pleat
