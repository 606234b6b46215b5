// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/replace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/unique_fd.h"

namespace pleat {
namespace {

Result<void> write_file(const std::string& path, std::string_view text, mode_t mode) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!file) return errno_error("cannot create " + path);
  if (fchmod(file.get(), mode) != 0) return errno_error("cannot set the mode of " + path);
  while (!text.empty()) {
    const ssize_t size = write(file.get(), text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno_error("cannot write " + path);
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  return {};
}

}  // namespace

Result<void> replace_file(const std::string& path, const std::string& unfinished,
                          std::string_view text, mode_t mode) {
  Result<void> done = write_file(unfinished, text, mode);
  if (done && std::rename(unfinished.c_str(), path.c_str()) != 0) {
    done = errno_error("cannot rename " + unfinished + " to " + path);
  }
  if (!done) unlink(unfinished.c_str());
  return done;
}

}  // namespace pleat
