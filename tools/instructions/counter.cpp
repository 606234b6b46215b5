// SPDX-License-Identifier: MIT OR Apache-2.0
// A plugin of QEMU's user-mode emulators that counts the instructions which the emulated program
// executes between marks (marks.h), and completes the program's lines on standard output with them.
//
// Debian has no package with qemu-plugin.h, so what is used of it is declared here, as it is in
// QEMU 7.2 (version 1 of the interface).
#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "marks.h"

extern "C" {
struct qemu_plugin_tb;
struct qemu_info_t;
using qemu_plugin_id_t = std::uint64_t;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t, qemu_plugin_tb*));
void qemu_plugin_register_vcpu_syscall_cb(
    qemu_plugin_id_t id,
    void (*called)(qemu_plugin_id_t, unsigned processor, std::int64_t number, std::uint64_t,
                   std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                   std::uint64_t, std::uint64_t));
std::size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb* block);
void qemu_plugin_register_vcpu_tb_exec_inline(qemu_plugin_tb* block, qemu_plugin_op op, void* to,
                                              std::uint64_t value);
[[gnu::visibility("default")]] extern const int qemu_plugin_version;
const int qemu_plugin_version = 1;
[[gnu::visibility("default")]] int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t*, int,
                                                       char**);
}

namespace {

struct Count {
  std::uint64_t instructions;
  std::uint64_t pages;
};
std::uint64_t executed = 0;
std::uint64_t begin = 0;
Count row = {0, 0};

// Translated blocks have one entry, so that one addition a block counts exactly.
void translated(qemu_plugin_id_t, qemu_plugin_tb* block) {
  qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &executed,
                                           qemu_plugin_tb_n_insns(block));
}

void print(const Count& count) {
  std::printf(" %.0f |",
              static_cast<double>(count.instructions) / static_cast<double>(count.pages));
  std::fflush(stdout);
}

void called(qemu_plugin_id_t, unsigned, std::int64_t number, std::uint64_t pages, std::uint64_t,
            std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
            std::uint64_t) {
  if (number == kMarkBegin) begin = executed;
  if (number == kMarkEnd) {
    const Count set = {executed - begin, pages};
    print(set);
    row = {row.instructions + set.instructions, row.pages + set.pages};
  }
  if (number == kMarkRow) {
    print(row);
    row = {0, 0};
  }
}

}  // namespace

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t*, int, char**) {
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  return 0;
}
