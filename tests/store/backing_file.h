// SPDX-License-Identifier: MIT OR Apache-2.0
// A file to write back to, in the working directory: others may be in memory, and take no direct
// I/O.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "base/page.h"
#include "base/unique_fd.h"

namespace pleat::store {

class BackingFile {
 public:
  explicit BackingFile(std::uint64_t blocks) {
    char path[] = "backing-XXXXXX";
    file_.reset(mkstemp(path));
    path_ = path;
    EXPECT_TRUE(file_);
    resize(blocks);
  }
  ~BackingFile() { unlink(path_.c_str()); }
  BackingFile(const BackingFile&) = delete;
  BackingFile& operator=(const BackingFile&) = delete;

  const std::string& path() const { return path_; }
  // Whether it is on a file system in memory, where nothing may be written back to.
  bool is_in_memory() const {
    struct statfs system {};
    return fstatfs(file_.get(), &system) == 0 && system.f_type == TMPFS_MAGIC;
  }
  void resize(std::uint64_t blocks) {
    EXPECT_EQ(ftruncate(file_.get(), static_cast<off_t>(blocks * kPageSize)), 0);
  }
  void flip_bit(std::uint64_t offset) {
    char byte = 0;
    EXPECT_EQ(pread(file_.get(), &byte, 1, static_cast<off_t>(offset)), 1);
    byte ^= 4;
    EXPECT_EQ(pwrite(file_.get(), &byte, 1, static_cast<off_t>(offset)), 1);
  }

 private:
  UniqueFd file_;
  std::string path_;
};

}  // namespace pleat::store
