// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/loop/queue_limits.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>

namespace pleat::device {
namespace {

constexpr const char* kRequestsFile = "nr_requests";
constexpr const char* kRequestKibFile = "max_sectors_kb";
constexpr const char* kDefaultRequestsFile = "/sys/module/loop/parameters/hw_queue_depth";

Result<unsigned> get(const std::string& path) {
  std::ifstream file(path);
  unsigned value = 0;
  errno = 0;
  if (file >> value) return value;
  return errno_error(errno != 0 ? errno : EINVAL, "cannot read " + path);
}

Result<void> set(const std::string& path, unsigned value) {
  errno = 0;
  std::ofstream file(path);
  if (file << value << std::flush) return {};
  return errno_error(errno != 0 ? errno : EINVAL, "cannot write " + path);
}

std::string queue_folder(const std::string& name) { return "/sys/block/" + name + "/queue/"; }

// Undoes the limits that a killed daemon left, where the kernel can: max_sectors_kb knows 0 for its
// default since 6.3.
void set_defaults(const std::string& folder) {
  if (const auto requests = get(kDefaultRequestsFile)) {
    static_cast<void>(set(folder + kRequestsFile, *requests));
  }
  static_cast<void>(set(folder + kRequestKibFile, 0));
}

}  // namespace

Result<QueueLimits> QueueLimits::apply(const std::string& name, unsigned requests,
                                       unsigned request_kib) {
  const std::string folder = queue_folder(name);
  set_defaults(folder);
  const auto requests_before = get(folder + kRequestsFile);
  if (!requests_before) return requests_before.error();
  const auto kib_before = get(folder + kRequestKibFile);
  if (!kib_before) return kib_before.error();
  QueueLimits limits(folder, *requests_before, *kib_before);
  auto set_both = set(folder + kRequestsFile, std::min(requests, *requests_before));
  if (set_both) set_both = set(folder + kRequestKibFile, std::min(request_kib, *kib_before));
  if (set_both) return limits;
  limits.restore();
  return std::move(set_both).error();
}

Result<QueueLimits> QueueLimits::inherit(const std::string& name, unsigned requests) {
  const std::string folder = queue_folder(name);
  const auto limit = get(folder + kRequestsFile);
  if (!limit) return limit.error();
  if (*limit > requests) return Error{EROFS, folder + kRequestsFile + " could not be written"};
  const auto requests_default = get(kDefaultRequestsFile);
  return QueueLimits(folder, requests_default ? *requests_default : *limit, 0);
}

QueueLimits::QueueLimits(std::string folder, unsigned requests, unsigned request_kib)
    : folder_(std::move(folder)), requests_(requests), request_kib_(request_kib) {}

void QueueLimits::restore() const {
  static_cast<void>(set(folder_ + kRequestsFile, requests_));
  static_cast<void>(set(folder_ + kRequestKibFile, request_kib_));
}

}  // namespace pleat::device
