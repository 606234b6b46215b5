// SPDX-License-Identifier: MIT OR Apache-2.0
// The statistics of a device as zram's sysfs attributes print them, for scripts that parse those.
#include <array>
#include <cinttypes>
#include <cstdio>
#include <initializer_list>

#include "control/status.h"

namespace pleat::control {
namespace {

// drivers/block/zram/zram_drv.c prints each field with %8llu (or %8lu, %8ld) and a space between.
std::string line_of(std::initializer_list<std::uint64_t> fields) {
  std::string line;
  for (const std::uint64_t field : fields) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), line.empty() ? "%8" PRIu64 : " %8" PRIu64, field);
    line += text.data();
  }
  return line + "\n";
}

}  // namespace

std::string mm_stat_line(const DeviceStatus& status) {
  return line_of({status.orig_data_size, status.compr_data_size, status.mem_used_total,
                  status.mem_limit, status.mem_used_max, status.same_pages, status.pages_compacted,
                  status.huge_pages, status.huge_pages_since});
}

// The form of Linux up to 6.4. Later ones no longer count invalid_io and print a bare 0 for it,
// which has the same fields for a reader that splits at white space.
std::string io_stat_line(const DeviceStatus& status) {
  return line_of(
      {status.failed_reads, status.failed_writes, status.invalid_io, status.notify_free});
}

std::string bd_stat_line(const DeviceStatus& status) {
  return line_of({status.bd_count, status.bd_reads, status.bd_writes});
}

}  // namespace pleat::control
