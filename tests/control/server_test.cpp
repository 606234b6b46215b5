// SPDX-License-Identifier: MIT OR Apache-2.0
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "control/runtime_directory.h"
#include "control/sample_status.h"
#include "control/socket.h"

namespace pleat::control {
namespace {

using nlohmann::json;

class ServerTest : public ::testing::Test {
 protected:
  // Echoes, fails, throws or gives a status, as the request asks.
  static Result<json> handle(const json& request, std::span<const UniqueFd> files) {
    const std::string op = request.at("op");
    if (op == "read") {
      json texts = json::array();
      for (const UniqueFd& file : files) {
        char text[16] = {};
        EXPECT_GE(pread(file.get(), text, sizeof(text) - 1, 0), 0);
        texts.push_back(text);
      }
      return json{{"ok", true}, {"texts", texts}};
    }
    if (op == "fail") return Error{EBUSY, "/dev/ublkb0 is in use as swap"};
    if (op == "stat") return json{{"ok", true}, {"status", to_json(sample_status())}};
    return json{{"ok", true}, {"request", request}};
  }

  static std::unique_ptr<Server> start(const std::string& name = "pleat0") {
    auto server = Server::start(name, handle);
    EXPECT_TRUE(server.has_value()) << server.error().message;
    return server ? std::move(*server) : nullptr;
  }

  RuntimeDirectory directory_;
};

TEST_F(ServerTest, AnswersARequest) {
  const auto server = start();
  const auto answer = call("pleat0", {{"op", "echo"}, {"value", 7}}, 5000);
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ((*answer)["request"]["value"], 7);
}

// A file in memory with this text.
UniqueFd file_with(const std::string& text) {
  UniqueFd file(memfd_create("text", MFD_CLOEXEC));
  EXPECT_EQ(write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return file;
}

std::size_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

TEST_F(ServerTest, DescriptorsComeWithTheirRequestAndAreClosed) {
  const auto server = start();
  const UniqueFd first = file_with("first");
  const UniqueFd second = file_with("second");
  const std::vector<int> files = {first.get(), second.get(), first.get(), second.get()};
  const std::size_t open_before = open_files();
  for (const std::size_t count : {0, 1, 2, 4}) {
    const auto answer = call("pleat0", {{"op", "read"}}, 5000, std::span(files).first(count));
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    json expected = json::array();
    if (count >= 1) expected.push_back("first");
    if (count >= 2) expected.push_back("second");
    EXPECT_EQ((*answer)["texts"], expected) << count;
  }
  // The server's end of the last connection is closed when it has seen that ours is.
  while (open_files() > open_before) std::this_thread::yield();
}

TEST_F(ServerTest, CarriesAWholeStatus) {
  const auto server = start();
  const auto answer = call("pleat0", {{"op", "stat"}}, 5000);
  ASSERT_TRUE(answer.has_value());
  const auto status = status_from_json((*answer)["status"]);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(to_json(*status), to_json(sample_status()));
}

TEST_F(ServerTest, AHandlersErrorArrivesWithItsCode) {
  const auto server = start();
  const auto answer = call("pleat0", {{"op", "fail"}}, 5000);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, EBUSY);
  EXPECT_EQ(answer.error().message, "/dev/ublkb0 is in use as swap");
}

TEST_F(ServerTest, AHandlersExceptionIsAnAnswerAndTheServerLives) {
  const auto server = start();
  for (const json& request : {json{{"op", 1}}, json::object()}) {
    const auto answer = call("pleat0", request, 5000);
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code, EINVAL);
  }
  EXPECT_TRUE(call("pleat0", {{"op", "stat"}}, 5000).has_value());
}

TEST_F(ServerTest, TextThatIsNotUtf8DoesNotBreakTheAnswer) {
  auto server = Server::start("pleat0", [](const json&, std::span<const UniqueFd>) -> Result<json> {
    return Error{EIO, "bad \xff byte"};
  });
  ASSERT_TRUE(server.has_value());
  EXPECT_EQ(call("pleat0", {{"op", "x"}}, 5000).error().code, EIO);
}

TEST_F(ServerTest, TheSocketIsRootsAlone) {
  const auto server = start();
  struct stat file {};
  ASSERT_EQ(stat(socket_path("pleat0").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0600u);
}

TEST_F(ServerTest, TheDirectoryIsMadeWithItsMode) {
  std::filesystem::remove(directory_.path());
  const mode_t mask = umask(0077);
  const auto server = start();
  umask(mask);
  struct stat file {};
  ASSERT_EQ(stat(directory_.path().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0755u);
}

TEST_F(ServerTest, ASecondDaemonOfTheNameIsRefused) {
  const auto server = start();
  const auto second = Server::start("pleat0", handle);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, EADDRINUSE);
  EXPECT_TRUE(call("pleat0", {{"op", "stat"}}, 5000).has_value());
}

TEST_F(ServerTest, ADeadDaemonsSocketIsReplaced) {
  // A bound socket whose listener is gone, as a killed daemon leaves it.
  const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, socket_path("pleat0").c_str());
  ASSERT_EQ(bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  close(dead);
  EXPECT_EQ(call("pleat0", {{"op", "stat"}}, 1000).error().code, ECONNREFUSED);
  const auto server = start();
  EXPECT_TRUE(call("pleat0", {{"op", "stat"}}, 5000).has_value());
}

TEST_F(ServerTest, OfManyThatStartAtOnceOneWins) {
  std::atomic<unsigned> winners{0};
  std::atomic<unsigned> refused{0};
  std::vector<std::unique_ptr<Server>> servers(8);
  std::vector<std::thread> threads;
  for (auto& slot : servers) {
    threads.emplace_back([&] {
      auto server = Server::start("pleat0", handle);
      if (server) {
        slot = std::move(*server);
        ++winners;
      } else if (server.error().code == EADDRINUSE) {
        ++refused;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(winners, 1u);
  EXPECT_EQ(refused, 7u);
}

TEST_F(ServerTest, TheSocketGoesWithTheServer) {
  auto server = start();
  EXPECT_EQ(device_names(), (std::vector<std::string>{"pleat0"}));
  server.reset();
  EXPECT_TRUE(device_names().empty());
  const auto answer = call("pleat0", {{"op", "stat"}}, 1000);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ENOENT);
  EXPECT_EQ(answer.error().message, "no device pleat0; see pleat list");
}

TEST_F(ServerTest, AServerLeavesItsSuccessorsSocketAlone) {
  auto first = start();
  // Somebody cleans up by hand and starts anew while the first still winds down.
  std::filesystem::remove(socket_path("pleat0"));
  const auto second = start();
  first.reset();
  EXPECT_TRUE(call("pleat0", {{"op", "stat"}}, 5000).has_value());
}

TEST_F(ServerTest, TwoDevicesHaveTwoSockets) {
  const auto a = start("a");
  const auto b = start("b");
  EXPECT_TRUE(call("a", {{"op", "stat"}}, 5000).has_value());
  EXPECT_TRUE(call("b", {{"op", "stat"}}, 5000).has_value());
}

TEST_F(ServerTest, TheAnswerToStopArrivesThoughTheServerEnds) {
  std::atomic<bool> stopping{false};
  auto server =
      Server::start("pleat0", [&](const json&, std::span<const UniqueFd>) -> Result<json> {
        stopping = true;
        return json{{"ok", true}};
      });
  ASSERT_TRUE(server.has_value());
  std::thread daemon([&] {
    while (!stopping) std::this_thread::yield();
    server->reset();
  });
  const auto answer = call("pleat0", {{"op", "stop"}}, 5000);
  daemon.join();
  EXPECT_TRUE(answer.has_value()) << answer.error().message;
}

TEST_F(ServerTest, AnotherUsersRequestIsRefusedAlsoWhereTheSocketIsOpenToAll) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const auto server = start();
  std::filesystem::permissions(directory_.path(), std::filesystem::perms::all);
  std::filesystem::permissions(socket_path("pleat0"), std::filesystem::perms::all);
  const pid_t child = fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (setuid(kNobody) != 0) _exit(2);
    const auto answer = call("pleat0", {{"op", "stat"}}, 5000);
    _exit(!answer && answer.error().code == EACCES ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace pleat::control
