// SPDX-License-Identifier: MIT OR Apache-2.0
// Keeps the C library's allocator from asking the kernel for memory while requests are served.
//
// libfuse allocates a structure of about 200 bytes for each request and frees it with the reply.
// That is harmless as long as the memory comes from an arena that this thread alone uses and that
// is there already: no system call, no page fault, and no lock that a thread outside the I/O path
// might hold while it waits for memory. For the same reason a process that serves swap must not
// fork(): that takes the locks of all arenas.
#pragma once

namespace pleat {

// Gives every thread an arena of its own and stops the allocator from handing memory back. For the
// whole process; call it before serving threads start.
void keep_heap() noexcept;

// Allocates, touches and frees enough memory for the calling thread's requests, which then stays in
// its arena.
void fill_thread_heap() noexcept;

}  // namespace pleat
