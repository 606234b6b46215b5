// SPDX-License-Identifier: MIT OR Apache-2.0
// The file that `pleat gpu tier` offers must be a file like any other to whoever uses it, must not
// go while somebody does, and what cannot be done is said in one line.
#include "tool/gpu_tier.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/page.h"
#include "gpu/gpu_memory.h"
#include "store/backing.h"
#include "tool/pleat_program.h"
#include "tool/tier_process.h"
#include "tool/vram_file.h"

namespace pleat::tool {
namespace {

using testing::HasSubstr;

constexpr std::size_t kFileBytes = std::size_t{8} << 20;

class GpuTier : public testing::Test {
 protected:
  std::string directory() const { return mount_.path(); }
  MountPoint mount_;
};

TEST_F(GpuTier, HoldsWhatWasWrittenLast) {
  const TierProcess tier(directory(), "8M");
  EXPECT_TRUE(tier.said().ends_with(tier.path() + ": 8M of GPU 0 (emulator)\n")) << tier.said();
  constexpr std::size_t kPagesMax = 300;  // more than a request of the kernel has
  const store::BlockBuffer bytes(kPagesMax);
  std::vector<char> model(kFileBytes);
  std::mt19937_64 random(1);
  for (const int flags : {O_DIRECT, 0}) {
    const UniqueFd file(open(tier.path().c_str(), O_RDWR | O_CLOEXEC | flags));
    ASSERT_TRUE(file);
    const std::size_t unit = flags == 0 ? 1 : kPageSize;
    for (int round = 0; round < 400; ++round) {
      const std::size_t units = 1 + random() % (round % 20 == 0 ? kPagesMax : 9);
      const std::size_t size = units * unit;
      const std::size_t at = random() % ((kFileBytes - size) / unit + 1) * unit;
      // Zero at first.
      ASSERT_EQ(pread(file.get(), bytes.data(), size, static_cast<off_t>(at)),
                static_cast<ssize_t>(size));
      ASSERT_EQ(std::memcmp(bytes.data(), model.data() + at, size), 0) << at;
      for (std::size_t i = 0; i < size; ++i) bytes.data()[i] = static_cast<std::byte>(random());
      ASSERT_EQ(pwrite(file.get(), bytes.data(), size, static_cast<off_t>(at)),
                static_cast<ssize_t>(size));
      std::memcpy(model.data() + at, bytes.data(), size);
    }
  }
  const UniqueFd file(open(tier.path().c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<char> all(kFileBytes);
  ASSERT_EQ(pread(file.get(), all.data(), all.size(), 0), static_cast<ssize_t>(kFileBytes));
  EXPECT_EQ(all, model);
}

TEST_F(GpuTier, IsOneFileOfAFixedSize) {
  const TierProcess tier(directory(), "8M");
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory())) {
    names.push_back(entry.path().filename());
  }
  EXPECT_EQ(names, std::vector<std::string>{"vram"});
  struct stat status {};
  ASSERT_EQ(stat(tier.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode, S_IFREG | 0600u);
  EXPECT_EQ(status.st_uid, geteuid());
  EXPECT_EQ(status.st_size, off_t{kFileBytes});
  struct statfs system {};
  ASSERT_EQ(statfs(tier.path().c_str(), &system), 0);
  EXPECT_EQ(system.f_blocks * static_cast<std::size_t>(system.f_bsize), kFileBytes);

  const UniqueFd file(open(tier.path().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(file);
  char bytes[100] = {};
  EXPECT_EQ(pread(file.get(), bytes, 100, kFileBytes - 40), 40);
  EXPECT_EQ(pread(file.get(), bytes, 100, kFileBytes), 0);
  EXPECT_EQ(pwrite(file.get(), bytes, 100, kFileBytes - 40), 40);
  EXPECT_EQ(pwrite(file.get(), bytes, 100, kFileBytes), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(ftruncate(file.get(), 4096), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(open(tier.path().c_str(), O_RDWR | O_TRUNC | O_CLOEXEC), -1);
  EXPECT_EQ(errno, EPERM);
  for (const int mode : {0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE}) {
    EXPECT_EQ(fallocate(file.get(), mode, 0, 4096), -1);
    EXPECT_EQ(errno, EOPNOTSUPP);
  }
  EXPECT_EQ(open((directory() + "/other").c_str(), O_RDONLY | O_CLOEXEC), -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(fsync(file.get()), 0);
  ASSERT_EQ(stat(tier.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_size, off_t{kFileBytes});

  const UniqueFd other(open(tier.path().c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(other);
  EXPECT_EQ(flock(file.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(flock(other.get(), LOCK_SH | LOCK_NB), -1);
  EXPECT_EQ(errno, EWOULDBLOCK);
}

TEST_F(GpuTier, EndsByASignalOnlyWhileNobodyUsesIt) {
  for (const int number : {SIGTERM, SIGINT}) {
    TierProcess tier(directory(), "1M");
    UniqueFd file(open(tier.path().c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(pwrite(file.get(), "kept", 4, 4096), 4);
    tier.signal(number);
    ASSERT_TRUE(tier.says("pleat: " + tier.path() + " is in use")) << tier.said();
    EXPECT_THAT(tier.said(), HasSubstr("pleat remove"));
    char bytes[4];
    ASSERT_EQ(pread(file.get(), bytes, 4, 4096), 4);
    EXPECT_EQ(std::memcmp(bytes, "kept", 4), 0);
    file.reset();
    tier.signal(number);
    EXPECT_EQ(tier.wait(), 0) << tier.said();
    EXPECT_TRUE(std::filesystem::is_empty(directory())) << "unmounted";
  }
}

// Its pages do not go with the program that read what it says.
TEST_F(GpuTier, NeedsNobodyToListen) {
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_CLOEXEC), 0);
  UniqueFd reader(pipe[0]);
  UniqueFd writer(pipe[1]);
  const auto tier = spawn({PLEAT_PROGRAM, "gpu", "tier", directory(), "--size", "1M"},
                          {.output = writer.get(), .error = writer.get()});
  ASSERT_TRUE(tier);
  writer.reset();
  std::string said;
  char byte;
  while (said.find("/vram: 1M") == std::string::npos && read(reader.get(), &byte, 1) == 1) {
    said += byte;
  }
  UniqueFd file(open((directory() + "/vram").c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_TRUE(file) << said;
  reader.reset();
  kill(*tier, SIGTERM);
  // Once it has taken the signal what it says comes before the next request is served.
  const auto is_taken = [&] {
    std::ostringstream status;
    status << std::ifstream("/proc/" + std::to_string(*tier) + "/status").rdbuf();
    return status.str().find("ShdPnd:\t0000000000000000") != std::string::npos;
  };
  while (is_running(*tier) && !is_taken()) std::this_thread::yield();
  EXPECT_EQ(pread(file.get(), &byte, 1, 0), 1);
  file.reset();
  kill(*tier, SIGTERM);
  EXPECT_EQ(wait_for_exit(*tier, TierProcess::kTimeoutMs), 0);
}

TEST_F(GpuTier, ASignalBeforeItIsReadyEndsItToo) {
  const ProgramRun run =
      run_command("timeout --preserve-status -s TERM .01 " PLEAT_PROGRAM " gpu tier " +
                  directory() + " --size 64M");
  // Where the signal came before it was held back it acts as ever.
  EXPECT_TRUE(run.exit_code == 0 || run.exit_code == 128 + SIGTERM) << run.errors;
  EXPECT_TRUE(std::filesystem::is_empty(directory()));
}

TEST_F(GpuTier, WhoIsInItsDirectoryKeepsItToo) {
  TierProcess tier(directory(), "1M");
  UniqueFd inside(open(directory().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  tier.signal(SIGTERM);
  ASSERT_TRUE(tier.says("is in use")) << tier.said();
  inside.reset();
  tier.signal(SIGTERM);
  EXPECT_EQ(tier.wait(), 0) << tier.said();
}

// Of a copy of the mount in another namespace unmounting says nothing.
TEST_F(GpuTier, AUserInAnotherNamespaceKeepsItToo) {
  TierProcess tier(directory(), "1M");
  const std::string go = directory() + ".go";
  ASSERT_EQ(mkfifo(go.c_str(), 0600), 0);
  const auto user = spawn({"/bin/sh", "-c",
                           "exec unshare -m --propagation private sh -c 'exec 9<" + tier.path() +
                               "; echo >" + go + "; read x <" + go + "'"},
                          {});
  ASSERT_TRUE(user);
  UniqueFd fifo(open(go.c_str(), O_RDONLY | O_CLOEXEC));
  char byte;
  ASSERT_EQ(read(fifo.get(), &byte, 1), 1);
  fifo.reset();
  tier.signal(SIGTERM);
  EXPECT_TRUE(tier.says("is in use")) << tier.said();
  fifo.reset(open(go.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(write(fifo.get(), "\n", 1), 1);
  EXPECT_EQ(wait_for_exit(*user, TierProcess::kTimeoutMs), 0);
  unlink(go.c_str());
  tier.signal(SIGTERM);
  EXPECT_EQ(tier.wait(), 0) << tier.said();
}

TEST_F(GpuTier, SaysSoWhenSomebodyElseUnmountsIt) {
  TierProcess tier(directory(), "1M");
  ASSERT_EQ(umount2(directory().c_str(), 0), 0);
  EXPECT_EQ(tier.wait(), 1);
  EXPECT_THAT(tier.said(), HasSubstr("somebody has unmounted it"));
}

TEST_F(GpuTier, TellsTheServiceManager) {
  const std::string path = directory() + ".notify";
  const UniqueFd manager(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(manager.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
  const TierProcess tier(directory(), "1M");
  unsetenv("NOTIFY_SOCKET");
  unlink(path.c_str());
  char message[200] = {};
  ASSERT_GT(recv(manager.get(), message, sizeof(message) - 1, 0), 0);
  EXPECT_EQ(std::string(message), "READY=1\nSTATUS=" + tier.path() + ": 1M of GPU 0 (emulator)");
}

#ifndef __SANITIZE_ADDRESS__  // whose run-time takes mlockall() for itself and does nothing
TEST_F(GpuTier, ItsMemoryIsLocked) {
  const TierProcess tier(directory(), "8M");
  std::ostringstream text;
  text << std::ifstream("/proc/" + std::to_string(tier.pid()) + "/status").rdbuf();
  const std::string status = text.str();
  const std::size_t at = status.find("VmLck:");
  ASSERT_NE(at, std::string::npos);
  EXPECT_GT(std::strtoull(status.c_str() + at + 6, nullptr, 10) << 10, kFileBytes);
}
#endif

// The library's own, in this process, so that it can fail in between.
TEST_F(GpuTier, AnErrorOfTheGpuIsOneRequestsOwn) {
  auto memory = gpu::GpuMemory::allocate(0, kFileBytes);
  ASSERT_TRUE(memory);
  auto mounted = VramFile::mount(*memory, directory());
  ASSERT_TRUE(mounted) << mounted.error().message;
  VramFile& served = **mounted;
  int wake[2];
  ASSERT_EQ(pipe2(wake, O_CLOEXEC), 0);
  std::thread server([&] { EXPECT_TRUE(served.serve_until(wake[0])); });
  UniqueFd file(open((directory() + "/vram").c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(pwrite(file.get(), "kept", 4, 0), 4);
  char bytes[4];
  setenv("PLEAT_EMULATED_GPU_FAILS", "copy:700", 1);
  EXPECT_EQ(pread(file.get(), bytes, 4, 0), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(pwrite(file.get(), bytes, 4, 4096), -1);
  EXPECT_EQ(errno, EIO);
  unsetenv("PLEAT_EMULATED_GPU_FAILS");
  EXPECT_EQ(pread(file.get(), bytes, 4, 0), 4);
  EXPECT_EQ(std::memcmp(bytes, "kept", 4), 0);
  file.reset();
  EXPECT_EQ(write(wake[1], "x", 1), 1);
  server.join();
  close(wake[0]);
  close(wake[1]);
}

class GpuTierErrors : public GpuTier {
 protected:
  // Of a tier that must not start.
  std::string reason(const std::string& arguments, int exit_code = 1) const {
    const ProgramRun run = run_command("timeout 60 " PLEAT_PROGRAM " gpu tier " + arguments);
    EXPECT_EQ(run.exit_code, exit_code) << run.output;
    EXPECT_EQ(std::count(run.errors.begin(), run.errors.end(), '\n'), 1) << run.errors;
    EXPECT_EQ(run.output, "");
    return run.errors;
  }
  std::string failing(const std::string& call) const {
    setenv("PLEAT_EMULATED_GPU_FAILS", call.c_str(), 1);
    const std::string text = reason(directory() + " --size 1M");
    unsetenv("PLEAT_EMULATED_GPU_FAILS");
    return text;
  }
};

TEST_F(GpuTierErrors, TheDirectoryMustBeOneAndEmpty) {
  EXPECT_THAT(reason(directory() + "/none --size 1M"),
              HasSubstr("cannot use " + directory() + "/none: No such file or directory; make it"));
  EXPECT_THAT(reason("/dev/null --size 1M"), HasSubstr("/dev/null is not a directory"));
  EXPECT_THAT(reason("/proc/self --size 1M"), HasSubstr("/proc/self is not empty"));
  EXPECT_THAT(reason("/proc --size 1M"), HasSubstr("/proc is a mount already"));
  TierProcess tier(directory(), "1M");
  EXPECT_THAT(reason(directory() + " --size 1M"), HasSubstr("is a mount already"));
  const UniqueFd file(open(tier.path().c_str(), O_RDWR | O_CLOEXEC));
  tier.kill_now();
  EXPECT_THAT(reason(directory() + " --size 1M"),
              HasSubstr("Transport endpoint is not connected; umount it"));
}

TEST_F(GpuTierErrors, TheGpuMustBeThereAndHaveRoom) {
  EXPECT_THAT(reason(directory() + " --size 2G"),
              HasSubstr("GPU 0 has not 2G of its 1G free: out of memory; choose a smaller size"));
  EXPECT_THAT(reason(directory() + " --size 1M --device 7"), HasSubstr("there is no GPU 7"));
  EXPECT_THAT(failing("count:35"), HasSubstr("NVIDIA's driver is missing"));
  EXPECT_THAT(failing("count:100"), HasSubstr("no GPU that CUDA can use"));
  EXPECT_THAT(failing("allocate_host:2"), HasSubstr("memory"));
  setenv("PLEAT_GPU_LIBRARY", "/nonexistent.so", 1);
  EXPECT_THAT(reason(directory() + " --size 1M"), HasSubstr("no GPU is used: /nonexistent.so"));
  setenv("PLEAT_GPU_LIBRARY", PLEAT_GPU_EMULATED, 1);
  EXPECT_TRUE(std::filesystem::is_empty(directory())) << "nothing is left mounted";
}

TEST_F(GpuTierErrors, TheProcessMustBeRoots) {
  const ProgramRun run =
      run_command("setpriv --reuid 65534 --regid 65534 --clear-groups " PLEAT_PROGRAM " gpu tier " +
                  directory() + " --size 1M");
  constexpr int kNotReadable = 126;  // the build's folder, for nobody
  if (run.exit_code == kNotReadable) GTEST_SKIP() << run.errors;
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(run.errors, "pleat: a VRAM tier mounts a file system; run as root\n");
}

// In a namespace whose /dev has none.
TEST_F(GpuTierErrors, FuseMustBeThere) {
  const ProgramRun run =
      run_command("unshare -m sh -c 'mount -t tmpfs none /dev && exec " PLEAT_PROGRAM " gpu tier " +
                  directory() + " --size 1M'");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(run.errors,
            "pleat: cannot open /dev/fuse: No such file or directory; load the module (modprobe "
            "fuse)\n");
}

TEST_F(GpuTierErrors, WhatIsMissingIsAUsageError) {
  EXPECT_THAT(reason(directory(), 2), HasSubstr("--size is required"));
  EXPECT_THAT(reason("--size 1M", 2), HasSubstr("DIR is required"));
  EXPECT_THAT(reason(directory() + " --size lots", 2), HasSubstr("--size"));
  EXPECT_THAT(reason(directory() + " --size 4095", 2), HasSubstr("less than one page"));
}

}  // namespace
}  // namespace pleat::tool
