// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/capture.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "base/bytes.h"
#include "base/page.h"
#include "bench/capture_child.h"
#include "tool/page_set.h"
#include "tool/process_memory.h"

namespace pleat::tool {
namespace {

using testing::HasSubstr;

std::string scratch_file(const char* name) {
  return testing::TempDir() + "pleat-" + std::to_string(::getpid()) + "-" + name;
}

// capture_child, ready, ended and waited for at the end.
class KnownProcess {
 public:
  KnownProcess() : file_(scratch_file("mapped")) {
    int out[2];
    EXPECT_EQ(::pipe(out), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(out[1], STDOUT_FILENO);
      ::execl(CAPTURE_CHILD, CAPTURE_CHILD, file_.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(out[1]);
    char answer[6] = {};
    EXPECT_EQ(::read(out[0], answer, sizeof(answer)), 6);
    ::close(out[0]);
    // Until it sleeps it may still touch pages.
    EXPECT_EQ(state(), 'S');
  }
  ~KnownProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::filesystem::remove(file_);
  }
  pid_t pid() const { return pid_; }
  // The state letter, once it is not that of somebody who was just woken.
  char state() const {
    for (int i = 0; i < 1000; ++i) {
      const char now = read_process_stat(pid_)->state;
      if (now == 'S' || now == 'T') return now;
      ::usleep(1000);
    }
    return '?';
  }

 private:
  std::string file_;
  pid_t pid_ = 0;
};

// How often each word occurs as the word that fills a page.
std::map<std::uint64_t, std::size_t> filling_words(const CapturedPages& captured) {
  std::map<std::uint64_t, std::size_t> words;
  for (std::size_t i = 0; i < captured.pages(); ++i) {
    const std::byte* page = captured.bytes.data() + i * kPageSize;
    if (same_filled(page)) ++words[load_u64(page)];
  }
  return words;
}

std::size_t marked_pages(const std::map<std::uint64_t, std::size_t>& words) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < kMarkedPages; ++i) {
    const auto found = words.find(kMarker + i);
    if (found != words.end()) count += found->second;
  }
  return count;
}

std::size_t differing_pages(const CapturedPages& a, const CapturedPages& b) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < std::min(a.pages(), b.pages()); ++i) {
    const std::size_t at = i * kPageSize;
    count += std::memcmp(a.bytes.data() + at, b.bytes.data() + at, kPageSize) == 0 ? 0 : 1;
  }
  return count;
}

CaptureOptions all_pages() {
  CaptureOptions options;
  options.pages_max = 1 << 20;
  return options;
}

TEST(Capture, TakesEveryPrivatePageOnceAndNoOther) {
  const KnownProcess process;
  Result<CapturedPages> captured = capture_process(process.pid(), all_pages());
  ASSERT_TRUE(captured) << captured.error().message;
  const auto words = filling_words(*captured);
  for (std::size_t i = 0; i < kMarkedPages; ++i) {
    ASSERT_EQ(words.count(kMarker + i), 1u) << i;
    EXPECT_EQ(words.at(kMarker + i), 1u) << i;
  }
  EXPECT_EQ(words.count(kChangedMarker), 1u);
  for (std::size_t i = 0; i < kFilePages; ++i) EXPECT_EQ(words.count(kFileMarker + i), 0u) << i;
  EXPECT_EQ(captured->command, "capture_child");
  EXPECT_EQ(captured->pages() + captured->shared_zero_pages, captured->pages_found);
}

TEST(Capture, KeepsRealZeroPagesAndLeavesTheSharedOneOut) {
  const KnownProcess process;
  Result<CapturedPages> captured = capture_process(process.pid(), all_pages());
  ASSERT_TRUE(captured) << captured.error().message;
  EXPECT_GE(filling_words(*captured)[0], kZeroPages);
  // The kernel's own count of anonymous pages leaves the shared zero page out too. Some kernels
  // give a page of its own to one that is only read; on the others 5000 pages make the difference.
  // The count lags behind by a batch a processor.
  const std::uint64_t counted = resident_anonymous_bytes(process.pid()) / kPageSize;
  EXPECT_NEAR(static_cast<double>(captured->pages()), static_cast<double>(counted), 500);
  EXPECT_EQ(captured->pages_vanished, 0u);
}

TEST(Capture, WithoutPageFlagsAPageOfZerosIsTheSharedOneUnlessItIsMappedHereAlone) {
  const KnownProcess process;
  Result<ProcessMemory> memory = ProcessMemory::open(process.pid());
  ASSERT_TRUE(memory) << memory.error().message;
  std::vector<std::byte> page(kPageSize);
  ResidentPage entry;  // no frame, as those see it who are not root
  entry.exclusive = false;
  EXPECT_TRUE(memory->shared_zero_page(entry, page.data()));
  entry.exclusive = true;
  EXPECT_FALSE(memory->shared_zero_page(entry, page.data()));
  entry.exclusive = false;
  page[kPageSize - 1] = std::byte{1};
  EXPECT_FALSE(memory->shared_zero_page(entry, page.data()));
}

TEST(Capture, SamplesAsManyAsAskedAndDifferentOnesWithAnotherSeed) {
  const KnownProcess process;
  Result<CapturedPages> all = capture_process(process.pid(), all_pages());
  ASSERT_TRUE(all) << all.error().message;
  CaptureOptions options;
  options.pages_max = all->pages() / 2;
  Result<CapturedPages> first = capture_process(process.pid(), options);
  Result<CapturedPages> again = capture_process(process.pid(), options);
  options.seed = 2;
  Result<CapturedPages> other = capture_process(process.pid(), options);
  ASSERT_TRUE(first && again && other);
  EXPECT_EQ(first->pages(), options.pages_max);
  // The kernel itself changes a page of the process now and then: its restartable sequence's
  // processor number.
  ASSERT_EQ(again->pages(), first->pages());
  EXPECT_LE(differing_pages(*first, *again), 2u);
  EXPECT_GT(differing_pages(*first, *other), 100u);
  // Half of the marked pages, with a deviation of 8: a sample cut from one end of the addresses
  // would have none or all of them.
  const std::size_t marked = marked_pages(filling_words(*first));
  EXPECT_GT(marked, kMarkedPages / 4);
  EXPECT_LT(marked, kMarkedPages * 3 / 4);
}

TEST(Capture, GroupsAreAlignedAndWhole) {
  const KnownProcess process;
  CaptureOptions options = all_pages();
  options.groups = true;
  Result<CapturedPages> captured = capture_process(process.pid(), options);
  ASSERT_TRUE(captured) << captured.error().message;
  ASSERT_EQ(captured->pages() % kGroupPages, 0u);
  std::size_t groups = 0;
  for (std::size_t i = 0; i < captured->pages(); i += kGroupPages) {
    const std::uint64_t word = load_u64(captured->bytes.data() + i * kPageSize);
    if (word < kMarker || word >= kMarker + kMarkedPages) continue;
    ++groups;
    EXPECT_EQ((word - kMarker) % kGroupPages, 0u);
    for (std::size_t page = 1; page < kGroupPages; ++page) {
      EXPECT_EQ(load_u64(captured->bytes.data() + (i + page) * kPageSize), word + page);
    }
  }
  EXPECT_EQ(groups, kMarkedPages / kGroupPages);
}

TEST(Capture, TheProcessGoesOnAfterwards) {
  const KnownProcess process;
  ASSERT_TRUE(capture_process(process.pid(), all_pages()));
  EXPECT_EQ(process.state(), 'S');
}

TEST(Capture, TheProcessGoesOnAfterAFailure) {
  const KnownProcess process;
  CaptureOptions none;
  none.pages_max = 0;
  Result<CapturedPages> captured = capture_process(process.pid(), none);
  ASSERT_FALSE(captured);
  EXPECT_EQ(captured.error().code, ENODATA);
  EXPECT_EQ(process.state(), 'S');
}

TEST(Capture, AProcessThatWasStoppedStaysStopped) {
  const KnownProcess process;
  ASSERT_EQ(::kill(process.pid(), SIGSTOP), 0);
  ASSERT_EQ(process.state(), 'T');
  ASSERT_TRUE(capture_process(process.pid(), all_pages()));
  EXPECT_EQ(process.state(), 'T');
}

TEST(Capture, SignalsComeThroughAgainAfterwards) {
  const KnownProcess process;
  ASSERT_TRUE(capture_process(process.pid(), all_pages()));
  sigset_t mask;
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, nullptr, &mask), 0);
  EXPECT_EQ(sigismember(&mask, SIGINT), 0);
  EXPECT_EQ(sigismember(&mask, SIGTERM), 0);
}

TEST(Capture, WorksWithoutStopping) {
  const KnownProcess process;
  CaptureOptions options = all_pages();
  options.stop = false;
  Result<CapturedPages> captured = capture_process(process.pid(), options);
  ASSERT_TRUE(captured) << captured.error().message;
  EXPECT_EQ(marked_pages(filling_words(*captured)), kMarkedPages);
}

TEST(Capture, RefusesWhatIsNotThereAndItself) {
  Result<CapturedPages> missing = capture_process(1 << 30, all_pages());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ESRCH);
  Result<CapturedPages> self = capture_process(::getpid(), all_pages());
  ASSERT_FALSE(self);
  EXPECT_EQ(self.error().code, EINVAL);
}

TEST(CaptureCommand, CapturesAfterATimeAndEndsTheCommand) {
  const std::string file = scratch_file("after");
  CommandOptions when;
  when.after_seconds = 1;
  Result<CapturedPages> captured = capture_command({CAPTURE_CHILD, file, "60"}, when, all_pages());
  ASSERT_TRUE(captured) << captured.error().message;
  EXPECT_EQ(marked_pages(filling_words(*captured)), kMarkedPages);
  Result<ProcessStat> gone = read_process_stat(captured->pid);
  EXPECT_FALSE(gone) << gone->command;
  std::filesystem::remove(file);
}

TEST(CaptureCommand, FindsTheLargestProcessBelowAShellAtItsPeak) {
  const std::string file = scratch_file("peak");
  // The shell stays, as it has something to do after the child.
  const std::string script = std::string(CAPTURE_CHILD) + " " + file + " 1 > /dev/null; true";
  Result<CapturedPages> captured = capture_command({"sh", "-c", script}, {}, all_pages());
  ASSERT_TRUE(captured) << captured.error().message;
  EXPECT_EQ(captured->command, "capture_child");
  EXPECT_GT(captured->pages(), 0u);
  std::filesystem::remove(file);
}

TEST(CaptureCommand, SaysWhatIsWrongWithTheCommand) {
  Result<CapturedPages> missing = capture_command({"/no/such/program"}, {}, all_pages());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ENOENT);
  CommandOptions late;
  late.after_seconds = 30;
  Result<CapturedPages> short_lived = capture_command({"true"}, late, all_pages());
  ASSERT_FALSE(short_lived);
  EXPECT_THAT(short_lived.error().message, HasSubstr("ended before"));
}

TEST(WritePages, WritesAllOrNothing) {
  const std::string file = scratch_file("written.pages");
  const std::vector<std::byte> bytes(3 * kPageSize, std::byte{7});
  ASSERT_TRUE(write_pages(file, bytes));
  Result<std::vector<PageSet>> sets = load_page_sets(file, 100, 1);
  ASSERT_TRUE(sets) << sets.error().message;
  EXPECT_EQ((*sets)[0].count, 3u);
  EXPECT_EQ((*sets)[0].same_filled, 3u);
  std::filesystem::remove(file);

  Result<void> failed = write_pages("/no/such/folder/x.pages", bytes);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ENOENT);
  // A directory of that name: the rename fails, and the partial file is gone.
  const std::string folder = scratch_file("folder");
  std::filesystem::create_directory(folder);
  EXPECT_FALSE(write_pages(folder, bytes));
  EXPECT_FALSE(std::filesystem::exists(folder + ".partial"));
  std::filesystem::remove(folder);
}

}  // namespace
}  // namespace pleat::tool
