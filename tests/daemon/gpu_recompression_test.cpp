// SPDX-License-Identifier: MIT OR Apache-2.0
// `pleat recompress --gpu` with a real daemon and a CPU in the GPU's place: pages become smaller
// and stay what they were, whatever the process that compresses them does.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "control/batch_exchange.h"
#include "control/socket.h"
#include "daemon/daemon_process.h"
#include "store/pages.h"
#include "store/wordy_page.h"
#include "tool/recompress.h"

namespace pleat::daemon {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kPages = 40;

class GpuRecompression : public DaemonTest {
 protected:
  GpuRecompression() { setenv("PLEAT_GPU_LIBRARY", PLEAT_GPU_EMULATED, 1); }
  ~GpuRecompression() override {
    unsetenv("PLEAT_GPU_LIBRARY");
    unsetenv("PLEAT_EMULATED_GPU_FAILS");
  }

  void TearDown() override {
    daemon_.reset();
    DaemonTest::TearDown();
  }
  // A daemon whose device holds the pages.
  void start(const std::string& codec) {
    daemon_ = std::make_unique<DaemonProcess>(
        arguments({"--algorithm", "lz4:fast", "--recompress", codec}));
    ASSERT_TRUE(daemon_->ready().value("ok", false)) << daemon_->said();
    const UniqueFd device(open(daemon_->path().c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(device);
    for (std::uint64_t page = 0; page < kPages; ++page) {
      const store::TestPage bytes = page_of(page);
      ASSERT_EQ(pwrite(device.get(), bytes.data(), kPageSize, static_cast<off_t>(page * kPageSize)),
                static_cast<ssize_t>(kPageSize));
    }
    ASSERT_EQ(fsync(device.get()), 0);
  }
  // One in four is noise.
  static store::TestPage page_of(std::uint64_t page) {
    return page % 4 == 0 ? store::random_page(page) : store::pointer_page(page);
  }
  void expect_pages() const {
    const UniqueFd device(open(daemon_->path().c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    ASSERT_TRUE(device);
    alignas(kPageSize) store::TestPage bytes;
    for (std::uint64_t page = 0; page < kPages; ++page) {
      ASSERT_EQ(pread(device.get(), bytes.data(), kPageSize, static_cast<off_t>(page * kPageSize)),
                static_cast<ssize_t>(kPageSize));
      ASSERT_EQ(bytes, page_of(page)) << page;
    }
  }
  // What the tool says or why it failed.
  std::string recompress() const {
    std::ostringstream out;
    const auto done = tool::recompress_devices({.names = {name_}, .gpu = {{.pages = 16}}},
                                               tool::System::real(), out);
    return done ? out.str() : done.error().message;
  }
  std::uint64_t recompressed() const {
    return call({{"op", "stat"}})["status"]["pages_recompressed"];
  }

  std::unique_ptr<DaemonProcess> daemon_;
};

TEST_F(GpuRecompression, MakesPagesSmallerAndKeepsEachOne) {
  start("line");
  EXPECT_THAT(recompress(), testing::AllOf(HasSubstr("30 pages recompressed"),
                                           HasSubstr("10 left as they are, by emulator")));
  EXPECT_EQ(recompressed(), 30u);
  expect_pages();
  EXPECT_THAT(recompress(), HasSubstr("0 pages recompressed"));
}

TEST_F(GpuRecompression, SaysWhyTheGpuDoesNot) {
  setenv("PLEAT_EMULATED_GPU_FAILS", "count:35", 1);
  start("lz4");
  EXPECT_THAT(recompress(), HasSubstr("driver is missing or too old"));
  setenv("PLEAT_EMULATED_GPU_FAILS", "compress:700", 1);
  EXPECT_THAT(recompress(), testing::AllOf(HasSubstr("after 0 pages"),
                                           HasSubstr("nobody has compressed a batch of pages"),
                                           HasSubstr("; the GPU: an illegal memory access")));
  EXPECT_EQ(recompressed(), 0u);
  expect_pages();
  unsetenv("PLEAT_EMULATED_GPU_FAILS");
  setenv("PLEAT_GPU_LIBRARY", "/nowhere/libpleat-gpu.so.0", 1);
  EXPECT_THAT(recompress(), HasSubstr("no GPU is used"));
}

TEST_F(GpuRecompression, CodecsThatNoGpuHasAreRefused) {
  start("zstd");
  EXPECT_THAT(recompress(), HasSubstr("recompresses with zstd, and a GPU has the codecs line and "
                                      "lz4"));
}

// A client that is no tool: what it does with a batch is `serve`.
class ForeignClient : public GpuRecompression {
 protected:
  static constexpr std::uint32_t kBatch = 16;

  void SetUp() override {
    auto memory = control::BatchMemory::create(kBatch);
    ASSERT_TRUE(memory);
    memory_.emplace(*std::move(memory));
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    own_end_.reset(ends[0]);
    daemon_end_.reset(ends[1]);
    start("line");
  }
  nlohmann::json request(const nlohmann::json& batches) const {
    return {{"op", "recompress"}, {"batches", batches}};
  }
  // The error of a request with these descriptors.
  std::string refusal_of(const nlohmann::json& batches, const std::vector<int>& files) const {
    const auto answer = control::call(name_, request(batches), 30'000, files);
    return answer ? "not refused" : answer.error().message;
  }
  std::string refusal_of_batch() const {
    return refusal_of({{"codec", "line"}, {"pages", kBatch}}, {memory_->fd(), daemon_end_.get()});
  }

  std::optional<control::BatchMemory> memory_;
  UniqueFd own_end_;
  UniqueFd daemon_end_;
};

TEST_F(ForeignClient, RequestsWithoutWhatTheyNeedAreRefused) {
  const std::vector<int> files = {memory_->fd(), daemon_end_.get()};
  const nlohmann::json good = {{"codec", "line"}, {"pages", kBatch}};
  EXPECT_THAT(refusal_of(good, {}), HasSubstr("two descriptors"));
  EXPECT_THAT(refusal_of(good, {memory_->fd()}), HasSubstr("two descriptors"));
  EXPECT_THAT(refusal_of("line", files), HasSubstr("two descriptors"));
  EXPECT_THAT(refusal_of({{"codec", "zstd"}, {"pages", kBatch}}, files), HasSubstr("line or lz4"));
  for (const std::uint64_t pages :
       {std::uint64_t{0}, std::uint64_t{kBatch + 1}, ~std::uint64_t{0}}) {
    EXPECT_THAT(refusal_of({{"codec", "line"}, {"pages", pages}}, files),
                HasSubstr("sealed against getting smaller"));
  }
  EXPECT_THAT(refusal_of(good, {daemon_end_.get(), memory_->fd()}), HasSubstr("sealed against"));
  expect_pages();
}

TEST_F(ForeignClient, ThatEndsOrReturnsJunkChangesNoPage) {
  std::thread junk([&] {
    (void)control::serve_batches(own_end_.get(), kBatch, [&](std::uint32_t count) {
      for (std::uint32_t i = 0; i < count; ++i) {
        std::memset(memory_->blocks() + i * kPageSize, 0x5A, 500);
        memory_->offsets()[i] = static_cast<std::uint32_t>(i * kPageSize);
        memory_->sizes()[i] = 500;
      }
      return 0;
    });
  });
  EXPECT_THAT(refusal_of_batch(), HasSubstr("is not its page"));
  shutdown(own_end_.get(), SHUT_RDWR);
  junk.join();
  EXPECT_THAT(refusal_of_batch(), HasSubstr("nobody has compressed a batch of pages"));
  EXPECT_EQ(recompressed(), 0u);
  expect_pages();
  EXPECT_THAT(recompress(), HasSubstr("30 pages recompressed"));
  expect_pages();
}

}  // namespace
}  // namespace pleat::daemon
