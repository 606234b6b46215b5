// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/daemon_process.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fuse.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "base/clock.h"
#include "control/socket.h"

namespace pleat::daemon {

namespace {

constexpr unsigned kTimeoutMs = 60'000;

void pause_ms(long ms) {
  const timespec time{0, ms * 1'000'000};
  nanosleep(&time, nullptr);
}

}  // namespace

DaemonProcess::DaemonProcess(const std::vector<std::string>& arguments,
                             const std::function<void()>& prepare) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  ready_fd_.reset(ends[0]);
  UniqueFd ready_write(ends[1]);
  error_fd_.reset(memfd_create("stderr", MFD_CLOEXEC));
  const UniqueFd program(open(PLEATD, O_RDONLY | O_CLOEXEC));
  guardian_ = fork();
  if (guardian_ == 0) {
    const int ready = dup(ready_write.get());
    // Whoever reads what the tests print is not kept waiting by a daemon that outlives them.
    dup2(error_fd_.get(), STDOUT_FILENO);
    dup2(error_fd_.get(), STDERR_FILENO);
    if (prepare) prepare();
    std::vector<std::string> words = {PLEATD, "--ready-fd", std::to_string(ready)};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    execv(PLEATD, pointers.data());
    // After `prepare` the folders above it may be closed, as root's own are to others.
    if (errno == EACCES) fexecve(program.get(), pointers.data(), environ);
    _exit(126);
  }
}

DaemonProcess::~DaemonProcess() {
  if (is_reaped_) return;
  kill(guardian_, SIGTERM);
  if (wait() == -1000) kill_all();
}

const nlohmann::json& DaemonProcess::ready() {
  if (has_ready_) return ready_;
  std::string text;
  const std::uint64_t end_ns = monotonic_ns() + std::uint64_t{kTimeoutMs} * 1'000'000;
  while (text.find('\n') == std::string::npos && monotonic_ns() < end_ns) {
    pollfd entry{ready_fd_.get(), POLLIN, 0};
    if (poll(&entry, 1, 1000) <= 0) continue;
    std::array<char, 4096> part;
    const ssize_t size = read(ready_fd_.get(), part.data(), part.size());
    if (size <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  has_ready_ = true;
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  if (parsed.is_object()) ready_ = parsed;
  return ready_;
}

int DaemonProcess::wait() {
  for (unsigned waited_ms = 0; !is_reaped_ && waited_ms < kTimeoutMs; waited_ms += 10) {
    int status = 0;
    if (waitpid(guardian_, &status, WNOHANG) == guardian_) {
      is_reaped_ = true;
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
      break;
    }
    pause_ms(10);
  }
  return status_;
}

void DaemonProcess::kill_all() {
  // All have the guardian's command line, whose first letter is "@".
  const std::string command = slurp("/proc/" + std::to_string(guardian_) + "/cmdline");
  ASSERT_EQ(command.find(std::string(PLEATD).substr(1)), 1u) << "the guardian is dead";
  const auto find_others = [&](std::set<pid_t>& processes) {
    const std::size_t known = processes.size();
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const int process = std::atoi(entry.path().filename().c_str());
      if (process > 0 && slurp(entry.path() / "cmdline") == command) processes.insert(process);
    }
    return processes.size() != known;
  };
  // Who sees another die makes a new one, so they are stopped before any is killed. One that was
  // making another as it was stopped shows that one only when it goes on: hence again and again.
  std::set<pid_t> processes = {guardian_};
  do {
    do {
      for (const pid_t process : processes) kill(process, SIGSTOP);
    } while (find_others(processes));
    for (const pid_t process : processes) kill(process, SIGKILL);
    wait();
    for (const pid_t process : processes) {
      EXPECT_TRUE(eventually([&] { return !is_running(process); }));
    }
    processes.clear();
  } while (find_others(processes));
}

std::string DaemonProcess::said() const {
  std::string text(65536, '\0');
  const ssize_t size = pread(error_fd_.get(), text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

void deny_clones() {
  static sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUSE_DEV_IOC_CLONE, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{std::size(filter), filter};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) _exit(125);
}

std::vector<std::string> DaemonTest::arguments(const std::vector<std::string>& more) const {
  std::vector<std::string> all = {"--name",        name_,         "--size",
                                  "min(64M, ram)", "--transport", "loop"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

nlohmann::json DaemonTest::call(const nlohmann::json& request) const {
  auto answer = control::call(name_, request, 30'000);
  if (answer) return *answer;
  ADD_FAILURE() << answer.error().message;
  return nlohmann::json::object();
}

std::string DaemonTest::refusal(const nlohmann::json& request) const {
  const auto answer = control::call(name_, request, 30'000);
  if (!answer) return answer.error().message;
  ADD_FAILURE() << "not refused: " << request.dump();
  return "";
}

void DaemonTest::sweep() const {
  EXPECT_EQ(shell(std::string(PLEATD) + " --sweep 2>/dev/null"), 0);
}

void DaemonTest::expect_nothing_left() const {
  std::string left;
  EXPECT_TRUE(eventually(
      [&] {
        left.clear();
        for (const auto& entry : std::filesystem::directory_iterator(runtime_.path())) {
          // control/listener.cpp's own lock is for all names and stays.
          if (entry.path().filename() != ".lock") left += entry.path().string() + " ";
        }
        for (const auto& block : std::filesystem::directory_iterator("/sys/block")) {
          const std::string backing = slurp(block.path() / "loop/backing_file");
          if (backing == "/pleat-" + name_ + "\n") left += block.path().string() + " ";
        }
        return left.empty();
      },
      10))
      << "left: " << left;
}

bool eventually(const std::function<bool()>& condition, int seconds) {
  const std::uint64_t end_ns = monotonic_ns() + static_cast<std::uint64_t>(seconds) * 1'000'000'000;
  while (!condition()) {
    if (monotonic_ns() >= end_ns) return false;
    pause_ms(10);
  }
  return true;
}

bool is_running(pid_t pid) {
  const auto process = process_id(pid);
  return process && is_alive(*process);
}

std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

int shell(const std::string& command) {
  const int status =
      std::system(("timeout 60 sh -c '" + command + "'").c_str());  // NOLINT(cert-env33-c)
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

}  // namespace pleat::daemon
