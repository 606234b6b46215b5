// SPDX-License-Identifier: MIT OR Apache-2.0
// Kills a device's worker again and again, and measures how long the device does not answer.
//
//   worker_killer DEVICE SOCKET --kills 100 [--OPTION NUMBER]...
//   worker_killer SOCKET successor-of PID [and-parent]
//
// Options: --signal (9), --pause-ms (300), --steps, --hold-ms, --seed.
//
// With --steps a queue's thread of the worker is traced before each kill, so that it dies at a step
// of a request and not, as nearly always otherwise, while it waits for one: N system calls later at
// most, at entry or return, and as many instructions on. With signal 0 nothing more is done: the
// thread hangs there until somebody else ends the worker.
//
// With --hold-ms the thread is stopped for so long before those steps, in which others can put a
// request on every tag.
//
// The second form waits until another process than PID serves and kills that one, at once, and with
// and-parent the process that made it.
//
// Before each kill it waits until the daemon says on SOCKET that its stand-bys are ready: a second
// death while they are made is another matter. After it, it reads a page of DEVICE past the page
// cache. Prints the times from the kill to the page in milliseconds: median, p90 and
// maximum. It is locked in memory, and works where the device is swap. Exit status: 0; 1 where a
// read failed or the stand-bys were not ready within 60 s.

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <vector>

namespace pleat::guest {
namespace {

double now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

void sleep_ms(unsigned ms) {
  const timespec pause{ms / 1000, static_cast<long>(ms % 1000) * 1'000'000};
  nanosleep(&pause, nullptr);
}

// A number of the daemon's answer to a stat; -1 where it does not answer.
long number_of(const std::string& answer, const char* key) {
  const std::size_t at = answer.find(key);
  if (at == std::string::npos) return -1;
  return std::strtol(answer.c_str() + at + std::strlen(key), nullptr, 10);
}

std::string ask(const char* socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
  const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string answer;
  const char request[] = "{\"op\":\"stat\"}\n";
  if (file >= 0 && connect(file, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      // Who is asked may just have died.
      send(file, request, sizeof(request) - 1, MSG_NOSIGNAL) ==
          static_cast<ssize_t>(sizeof(request) - 1)) {
    std::array<char, 4096> part;
    ssize_t size = 0;
    while (answer.find('\n') == std::string::npos &&
           (size = read(file, part.data(), part.size())) > 0) {
      answer.append(part.data(), static_cast<std::size_t>(size));
    }
  }
  if (file >= 0) close(file);
  return answer;
}

// The worker's process id, once it has stand-bys; 0 where that takes too long.
pid_t wait_for_stand_bys(const char* socket_path) {
  for (const double end_ms = now_ms() + 60'000; now_ms() < end_ms; sleep_ms(20)) {
    const std::string answer = ask(socket_path);
    if (number_of(answer, "\"stand_bys\":") >= 2) {
      return static_cast<pid_t>(number_of(answer, "\"pid\":"));
    }
  }
  return 0;
}

// The parent in /proc/PID/stat; 0 where there is none.
pid_t parent_of(pid_t process) {
  std::FILE* const file = std::fopen(("/proc/" + std::to_string(process) + "/stat").c_str(), "re");
  int parent = 0;
  if (file == nullptr || std::fscanf(file, "%*d %*s %*c %d", &parent) != 1) parent = 0;
  if (file != nullptr) std::fclose(file);
  return parent;
}

// The first thread of the worker's that serves a queue; 0 where there is none.
pid_t queue_thread_of(pid_t process) {
  const std::string folder = "/proc/" + std::to_string(process) + "/task/";
  DIR* const tasks = opendir(folder.c_str());
  pid_t found = 0;
  while (const dirent* const task = tasks != nullptr && found == 0 ? readdir(tasks) : nullptr) {
    std::FILE* const file = std::fopen((folder + task->d_name + "/comm").c_str(), "re");
    std::array<char, 32> name{};
    if (file != nullptr && std::fgets(name.data(), name.size(), file) != nullptr &&
        (std::string(name.data()).starts_with("ublk") ||
         std::string(name.data()).starts_with("pleat-loop"))) {
      found = static_cast<pid_t>(std::strtol(task->d_name, nullptr, 10));
    }
    if (file != nullptr) std::fclose(file);
  }
  if (tasks != nullptr) closedir(tasks);
  return found;
}

// Has the thread go on, by single instructions or from one system call's entry or return to the
// next, so many times. False where it cannot be traced, or waits for longer than a second.
bool go_on(pid_t thread, unsigned times, bool instructions) {
  for (; times > 0; --times) {
    if (ptrace(instructions ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, thread, nullptr, nullptr) != 0) {
      return false;
    }
    int status = 0;
    pid_t stopped = 0;
    for (const double end_ms = now_ms() + 1000; stopped == 0 && now_ms() < end_ms;) {
      stopped = waitpid(thread, &status, __WALL | WNOHANG);
      if (stopped == 0) sleep_ms(0);
    }
    if (stopped != thread || !WIFSTOPPED(status)) return false;
  }
  return true;
}

// Stops the thread for so long; whether that succeeded.
bool hold(pid_t thread, unsigned hold_ms) {
  if (thread <= 0 || ptrace(PTRACE_SEIZE, thread, nullptr, nullptr) != 0 ||
      ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr) != 0 ||
      waitpid(thread, nullptr, __WALL) != thread) {
    std::perror("worker_killer: ptrace");
    return false;
  }
  if (hold_ms != 0) sleep_ms(hold_ms);
  return true;
}

// Brings the thread, which is held, to a random step of what it does; whether that succeeded.
bool bring_to_a_step(pid_t thread, unsigned steps, std::mt19937_64& random) {
  return go_on(thread, 1 + static_cast<unsigned>(random() % steps), false) &&
         go_on(thread, static_cast<unsigned>(random() % steps), true);
}

// Ends the worker by `signal`, whichever step `traced`, a stopped thread of it, is at; 0 is none.
bool end_worker(pid_t worker, int signal, pid_t traced) {
  // The thread dies where it is. Without a tracer: the end of a process with a traced thread is
  // heard of late.
  if (traced != 0 && signal == SIGKILL && ptrace(PTRACE_DETACH, traced, nullptr, SIGKILL) == 0) {
    return true;
  }
  return kill(worker, signal) == 0;
}

// A dead process stays until whoever traces a thread of it has taken note.
void let_go(pid_t thread) {
  int status = 0;
  while (waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status)) {
  }
}

int kill_successor(const char* socket_path, pid_t last, bool and_parent) {
  for (const double end_ms = now_ms() + 60'000; now_ms() < end_ms; sleep_ms(2)) {
    const auto worker = static_cast<pid_t>(number_of(ask(socket_path), "\"pid\":"));
    if (worker <= 0 || worker == last) continue;
    const pid_t parent = and_parent ? parent_of(worker) : 0;
    if (parent > 1) kill(parent, SIGKILL);
    return kill(worker, SIGKILL) == 0 ? 0 : 1;
  }
  std::fprintf(stderr, "worker_killer: nobody has succeeded process %d\n", last);
  return 1;
}

int run(const char* device, const char* socket_path, unsigned kills, int signal, unsigned pause_ms,
        unsigned steps, unsigned hold_ms, std::uint64_t seed) {
  alignas(4096) static std::array<char, 4096> page;
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) std::perror("worker_killer: mlockall");
  const int file = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (file < 0) {
    std::perror(device);
    return 1;
  }
  // The header that mkswap wrote: nobody changes it.
  alignas(4096) static std::array<char, 4096> expected;
  if (pread(file, expected.data(), expected.size(), 0) != static_cast<ssize_t>(expected.size())) {
    std::perror(device);
    return 1;
  }
  std::mt19937_64 random(seed);
  std::vector<double> gaps_ms(kills);
  unsigned at_a_step = 0;
  for (double& gap_ms : gaps_ms) {
    sleep_ms(static_cast<unsigned>(random() % (2 * pause_ms + 1)));
    const pid_t worker = wait_for_stand_bys(socket_path);
    if (worker <= 0) {
      std::fprintf(stderr, "worker_killer: no stand-bys became ready\n");
      return 1;
    }
    const pid_t traced = steps != 0 ? queue_thread_of(worker) : 0;
    if (traced != 0 && hold(traced, hold_ms) && bring_to_a_step(traced, steps, random)) ++at_a_step;
    // Before the signal: the worker's successors may keep this process from the processor.
    const double begin_ms = now_ms();
    if (!end_worker(worker, signal, traced)) {
      std::fprintf(stderr, "worker_killer: no worker to kill: %s\n", std::strerror(errno));
      return 1;
    }
    if (traced != 0) let_go(traced);
    if (pread(file, page.data(), page.size(), 0) != static_cast<ssize_t>(page.size())) {
      std::fprintf(stderr, "worker_killer: reading %s: %s\n", device, std::strerror(errno));
      return 1;
    }
    gap_ms = now_ms() - begin_ms;
    if (page != expected) {
      std::fprintf(stderr, "worker_killer: page 0 of %s is wrong\n", device);
      return 1;
    }
    page.fill('\xee');
  }
  std::sort(gaps_ms.begin(), gaps_ms.end());
  std::printf(
      "%u workers ended by signal %d; ms to the next page: median %.1f, p90 %.1f, max %.1f\n",
      kills, signal, gaps_ms[kills / 2], gaps_ms[kills * 9 / 10], gaps_ms.back());
  if (steps == 0) return 0;
  std::printf("%u of them at a step of a request\n", at_a_step);
  return at_a_step != 0 ? 0 : 1;
}

}  // namespace
}  // namespace pleat::guest

int main(int argc, char** argv) {
  if (argc >= 4 && std::strcmp(argv[2], "successor-of") == 0) {
    return pleat::guest::kill_successor(
        argv[1], static_cast<pid_t>(std::strtol(argv[3], nullptr, 10)), argc == 5);
  }
  unsigned kills = 10;
  int signal = SIGKILL;
  unsigned pause_ms = 300;
  unsigned steps = 0;
  unsigned hold_ms = 0;
  std::uint64_t seed = 1;
  bool good = argc >= 3 && argc % 2 == 1;
  for (int i = 3; good && i < argc; i += 2) {
    const std::string option = argv[i];
    const auto value = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--kills") {
      kills = static_cast<unsigned>(value);
    } else if (option == "--signal") {
      signal = static_cast<int>(value);
    } else if (option == "--pause-ms") {
      pause_ms = static_cast<unsigned>(value);
    } else if (option == "--steps") {
      steps = static_cast<unsigned>(value);
    } else if (option == "--hold-ms") {
      hold_ms = static_cast<unsigned>(value);
    } else if (option == "--seed") {
      seed = value;
    } else {
      good = false;
    }
  }
  if (!good || kills == 0) {
    std::fprintf(stderr,
                 "usage: worker_killer DEVICE SOCKET [--kills N] [--signal N] "
                 "[--pause-ms N] [--steps N] [--hold-ms N] [--seed N]\n");
    return 1;
  }
  return pleat::guest::run(argv[1], argv[2], kills, signal, pause_ms, steps, hold_ms, seed);
}
