// SPDX-License-Identifier: MIT OR Apache-2.0
// How long a successor waits for a worker that was killed, by the memory of its store: exit_bench
// [MIB]..., 256 and 4096 by default.
//
// A process has memory of the store's kind mapped, all of it present, and one end of a pipe open.
// It is killed, and the time until the other end shows that no process has it open any more is what
// a successor waits for, since the driver's file is closed at the same point. The processes with
// and without an anchor (base/anchor.h) take turns.
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/anchor.h"
#include "base/clock.h"
#include "base/sample_stats.h"
#include "base/unique_fd.h"
#include "store/memory.h"
#include "tool/text_table.h"

namespace pleat {
namespace {

constexpr int kRepeats = 11;

// Milliseconds until the files of a killed process are closed, and until its memory is given back.
struct Wait {
  std::uint64_t closed_ns = 0;
  std::uint64_t gone_ns = 0;
};

[[noreturn]] void be_worker(int memory_id, std::uint64_t bytes, bool anchored, int told) {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  auto memory = store::Memory::attach(memory_id);
  const bool good = memory && memory->populate(0, bytes) == 0 && (!anchored || make_anchor());
  if (!good || write(told, "", 1) != 1) _exit(1);
  while (true) pause();
}

Result<Wait> kill_one(const store::Memory& memory, bool anchored) {
  int ends[2];
  if (pipe(ends) != 0) return errno_error("cannot make a pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const pid_t worker = fork();
  if (worker < 0) return errno_error("cannot fork");
  if (worker == 0) be_worker(memory.id(), memory.bytes(), anchored, writer.get());
  writer.reset();
  char told = 0;
  if (read(reader.get(), &told, 1) != 1) return Error{EIO, "the process has ended before its time"};
  const timespec rest{0, 20'000'000};
  nanosleep(&rest, nullptr);
  Wait wait;
  const std::uint64_t start_ns = monotonic_ns();
  kill(worker, SIGKILL);
  if (read(reader.get(), &told, 1) != 0) return Error{EIO, "nobody was to write"};
  wait.closed_ns = monotonic_ns() - start_ns;
  while (::wait(nullptr) > 0) {
  }
  wait.gone_ns = monotonic_ns() - start_ns;
  return wait;
}

Result<void> measure(std::uint64_t mib, std::vector<std::vector<std::string>>& rows) {
  const std::uint64_t bytes = mib << 20;
  auto memory = store::Memory::create(bytes, false);
  if (!memory) return memory.error();
  const int error = memory->populate(0, bytes);
  store::Memory::remove(memory->id());
  if (error != 0) return errno_error(error, fmt::format("no {} MiB of memory", mib));
  std::array<std::vector<std::uint64_t>, 2> closed;
  std::array<std::vector<std::uint64_t>, 2> gone;
  for (int i = 0; i < 2 * kRepeats; ++i) {
    const auto anchored = static_cast<std::size_t>(i % 2);
    auto wait = kill_one(*memory, anchored != 0);
    if (!wait) return wait.error();
    closed[anchored].push_back(wait->closed_ns);
    gone[anchored].push_back(wait->gone_ns);
  }
  for (std::size_t anchored = 0; anchored < 2; ++anchored) {
    const auto ms = [](std::vector<std::uint64_t>& values, double fraction) {
      return fmt::format("{:.2f}", static_cast<double>(quantile(values, fraction)) / 1e6);
    };
    rows.push_back({fmt::format("{} MiB{}", mib, anchored != 0 ? ", with an anchor" : ""),
                    ms(closed[anchored], 0.5), ms(closed[anchored], 1), ms(gone[anchored], 0.5)});
  }
  return {};
}

int run(int argc, char** argv) {
  std::vector<std::uint64_t> sizes;
  for (int i = 1; i < argc; ++i) {
    std::uint64_t mib = 0;
    const char* const end = argv[i] + std::strlen(argv[i]);
    const auto parsed = std::from_chars(argv[i], end, mib);
    if (parsed.ec != std::errc{} || parsed.ptr != end || mib == 0) {
      std::fputs("usage: exit_bench [MIB]...\n", stderr);
      return 2;
    }
    sizes.push_back(mib);
  }
  if (sizes.empty()) sizes = {256, 4096};
  // The anchor becomes a child of this process, which waits for it too.
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  std::vector<std::vector<std::string>> rows = {
      {"ms after kill -9", "files closed: median", "max", "memory given back: median"}};
  for (const std::uint64_t mib : sizes) {
    if (auto measured = measure(mib, rows); !measured) {
      std::fprintf(stderr, "exit_bench: %s\n", measured.error().message.c_str());
      return 1;
    }
  }
  std::fputs(tool::markdown_table(rows).c_str(), stdout);
  return 0;
}

}  // namespace
}  // namespace pleat

int main(int argc, char** argv) { return pleat::run(argc, argv); }
