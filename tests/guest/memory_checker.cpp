// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that needs more memory than there is, and knows every byte of it: each of its processes
// fills its share with pages that follow from a seed, touches them in random order, overwrites
// some, and compares every byte. What swap loses or mixes up shows as a wrong byte.
//
//   memory_checker --mib 200 --processes 4 --rounds 2 [--seed N] [--ready FILE] [--go FILE]
//                  [--stop FILE]
//
// With --ready it creates FILE once every process has filled its memory; with --go every process
// then waits until FILE exists. With --stop the rounds go on until FILE exists. Exit status: 0
// every byte was right; 1 a byte was wrong, or the arguments were; 3 no byte was wrong, but a
// process was killed by a signal (SIGBUS where the swap device is gone).

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "guest/page_pattern.h"

namespace pleat::guest {
namespace {

struct Options {
  std::uint64_t mib = 64;
  unsigned processes = 1;
  unsigned rounds = 1;
  std::uint64_t seed = 1;
  std::string ready_path;
  std::string go_path;
  std::string stop_path;
};

// Where a page is wrong: the first byte that differs.
void report_wrong(unsigned process, std::uint64_t index, const PatternPage& expected,
                  const PatternPage& found) {
  const auto* want = reinterpret_cast<const unsigned char*>(expected.data());
  const auto* have = reinterpret_cast<const unsigned char*>(found.data());
  std::size_t offset = 0;
  while (want[offset] == have[offset]) ++offset;
  std::printf("memory_checker: process %u: page %llu byte %zu is %02x, not %02x\n", process,
              static_cast<unsigned long long>(index), offset, have[offset], want[offset]);
}

// One process's memory, with the version that each page should hold.
class Share {
 public:
  Share(const Options& options, unsigned process)
      : process_(process), seed_(options.seed * 1000 + process) {
    const std::uint64_t bytes = (options.mib << 20) / options.processes;
    count_ = bytes / kPatternPageBytes;
    void* memory = mmap(nullptr, count_ * kPatternPageBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("memory_checker: mmap");
      std::exit(1);
    }
    pages_ = static_cast<PatternPage*>(memory);
    versions_.assign(count_, 0);
  }

  void fill() {
    for (std::uint64_t index = 0; index < count_; ++index)
      fill_page(seed_, index, 0, pages_[index]);
  }

  // Random touches, one for every four pages: each checks its page, one in four overwrites it.
  // False where the file `stop` has come to be meanwhile.
  bool touch(unsigned round, const std::string& stop) {
    PatternRandom random(seed_ + (std::uint64_t{round} << 40));
    for (std::uint64_t touch = 0; touch < count_ / 4; ++touch) {
      if (touch % 64 == 0 && !stop.empty() && access(stop.c_str(), F_OK) == 0) return false;
      const std::uint64_t index = random.below(count_);
      check(index);
      if (random.below(4) == 0) fill_page(seed_, index, ++versions_[index], pages_[index]);
    }
    return true;
  }

  void check_all() {
    for (std::uint64_t index = 0; index < count_; ++index) check(index);
  }

  std::uint64_t wrong() const { return wrong_; }
  std::uint64_t checked() const { return checked_; }

 private:
  void check(std::uint64_t index) {
    PatternPage expected;
    fill_page(seed_, index, versions_[index], expected);
    ++checked_;
    if (std::memcmp(expected.data(), pages_[index].data(), kPatternPageBytes) == 0) return;
    if (++wrong_ <= 3) report_wrong(process_, index, expected, pages_[index]);
  }

  unsigned process_;
  std::uint64_t seed_;
  std::uint64_t count_ = 0;
  PatternPage* pages_ = nullptr;
  std::vector<std::uint32_t> versions_;
  std::uint64_t wrong_ = 0;
  std::uint64_t checked_ = 0;
};

// The life of one process. `filled_fd` gets one byte once its memory is full.
int run_process(const Options& options, unsigned process, int filled_fd) {
  Share share(options, process);
  share.fill();
  if (write(filled_fd, "f", 1) != 1) return 1;
  while (!options.go_path.empty() && access(options.go_path.c_str(), F_OK) != 0) usleep(50'000);
  const bool endless = !options.stop_path.empty();
  for (unsigned round = 0; endless || round < options.rounds; ++round) {
    if (!share.touch(round, options.stop_path)) break;
  }
  share.check_all();
  std::printf("memory_checker: process %u: %llu pages checked, %llu wrong\n", process,
              static_cast<unsigned long long>(share.checked()),
              static_cast<unsigned long long>(share.wrong()));
  std::fflush(stdout);
  return share.wrong() == 0 ? 0 : 1;
}

int run(const Options& options) {
  // This process only waits and reports: it must outlive a swap device that dies. Locks are not
  // inherited (mlock(2)), so the memory under test is not held by this.
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) std::perror("memory_checker: mlockall");
  int filled[2];
  if (pipe2(filled, O_CLOEXEC) != 0) return 1;
  for (unsigned process = 0; process < options.processes; ++process) {
    const pid_t pid = fork();
    if (pid < 0) {
      std::perror("memory_checker: fork");
      return 1;
    }
    if (pid == 0) std::_Exit(run_process(options, process, filled[1]));
  }
  close(filled[1]);
  // End of file, where a process died before its memory was full, ends the wait too.
  char byte = 0;
  for (unsigned process = 0; process < options.processes; ++process) {
    if (read(filled[0], &byte, 1) != 1) break;
  }
  if (!options.ready_path.empty()) {
    close(open(options.ready_path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  }

  bool wrong = false;
  bool killed = false;
  for (unsigned process = 0; process < options.processes; ++process) {
    int status = 0;
    if (wait(&status) < 0) return 1;
    if (WIFSIGNALED(status)) {
      std::printf("memory_checker: a process was killed by signal %d (%s)\n", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
      killed = true;
    } else if (WEXITSTATUS(status) != 0) {
      wrong = true;
    }
  }
  if (wrong) return 1;
  return killed ? 3 : 0;
}

}  // namespace
}  // namespace pleat::guest

int main(int argc, char** argv) {
  pleat::guest::Options options;
  for (int index = 1; index + 1 < argc; index += 2) {
    const std::string key = argv[index];
    const char* value = argv[index + 1];
    if (key == "--mib") {
      options.mib = std::strtoull(value, nullptr, 10);
    } else if (key == "--processes") {
      options.processes = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    } else if (key == "--rounds") {
      options.rounds = static_cast<unsigned>(std::strtoul(value, nullptr, 10));
    } else if (key == "--seed") {
      options.seed = std::strtoull(value, nullptr, 10);
    } else if (key == "--ready") {
      options.ready_path = value;
    } else if (key == "--go") {
      options.go_path = value;
    } else if (key == "--stop") {
      options.stop_path = value;
    } else {
      std::fprintf(stderr, "memory_checker: unknown option %s\n", key.c_str());
      return 1;
    }
  }
  if (options.mib == 0 || options.processes == 0) {
    std::fprintf(stderr, "memory_checker: --mib and --processes are at least 1\n");
    return 1;
  }
  return pleat::guest::run(options);
}
