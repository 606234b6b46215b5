// SPDX-License-Identifier: MIT OR Apache-2.0
// Lets User Mode Linux 6.12 run on processors with AMX: run-guest preloads this library.
//
// That kernel keeps 2696 bytes of a process's vector registers, and writes as many back. A host
// takes them only whole (xstateregs_set() in arch/x86/kernel/fpu/regset.c: EFAULT where a byte is
// missing), and has 11008 with AMX. Here the rest is put behind them, as the process has it:
// nothing in a guest changes it. Linux 6.13 asks the host for the size.
//
// Thread safety: none; that kernel has one processor, and writes registers in one place.

#include <dlfcn.h>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstring>

namespace {

using Ptrace = long (*)(int, pid_t, void*, void*);

// Not on the stack, of which a kernel has little.
alignas(64) std::array<std::byte, 16384> whole;

long set_whole(Ptrace next, pid_t process, void* type, const iovec& part) {
  iovec all = {whole.data(), whole.size()};
  const long got = next(PTRACE_GETREGSET, process, type, &all);
  if (got != 0 || part.iov_len > all.iov_len) return got != 0 ? got : -1;
  std::memcpy(whole.data(), part.iov_base, part.iov_len);
  return next(PTRACE_SETREGSET, process, type, &all);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) long ptrace(enum __ptrace_request request,
                                                              ...) noexcept {
  static const auto next = reinterpret_cast<Ptrace>(dlsym(RTLD_NEXT, "ptrace"));
  std::va_list arguments;
  va_start(arguments, request);
  const pid_t process = va_arg(arguments, pid_t);
  void* const address = va_arg(arguments, void*);
  void* const data = va_arg(arguments, void*);
  va_end(arguments);
  const long result = next(request, process, address, data);
  if (result == 0 || request != PTRACE_SETREGSET || errno != EFAULT) return result;
  if (reinterpret_cast<std::size_t>(address) != NT_X86_XSTATE) return result;
  return set_whole(next, process, address, *static_cast<const iovec*>(data));
}
