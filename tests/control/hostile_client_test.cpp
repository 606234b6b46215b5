// SPDX-License-Identifier: MIT OR Apache-2.0
// Clients that send garbage, half lines, too much, too many at once, or never read their answers;
// and servers that a client must not wait for without end.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "control/runtime_directory.h"
#include "control/socket.h"

namespace pleat::control {
namespace {

using nlohmann::json;

sockaddr_un address_of(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, socket_path(name).c_str());
  return address;
}

UniqueFd connect_raw(int type_flags = 0) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | type_flags, 0));
  const sockaddr_un address = address_of("pleat0");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    fd.reset();
  }
  return fd;
}

void send_text(const UniqueFd& fd, const std::string& text) {
  std::size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t count = send(fd.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (count < 0) return;  // the server has had enough
    sent += static_cast<std::size_t>(count);
  }
}

// All lines up to the end of the connection or `lines` of them.
std::string receive_lines(const UniqueFd& fd, std::size_t lines) {
  std::string text;
  std::array<char, 4096> chunk;
  while (static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) < lines) {
    const ssize_t count = recv(fd.get(), chunk.data(), chunk.size(), 0);
    if (count <= 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(count));
  }
  return text;
}

class HostileClient : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server =
        Server::start("pleat0", [](const json& request, std::span<const UniqueFd>) -> Result<json> {
          if (request.value("op", "") == "large") {
            return json{{"ok", true}, {"text", std::string(500'000, 'x')}};
          }
          return json{{"ok", true}, {"request", request}};
        });
    ASSERT_TRUE(server.has_value()) << server.error().message;
    server_ = std::move(*server);
  }

  // Whether an honest client is served well before the time-out of any hostile one.
  static void expect_service() {
    const auto answer = call("pleat0", {{"op", "echo"}}, 3000);
    EXPECT_TRUE(answer.has_value()) << answer.error().message;
  }

  RuntimeDirectory directory_;
  std::unique_ptr<Server> server_;
};

TEST_F(HostileClient, GarbageLinesAreAnsweredOneByOne) {
  const UniqueFd fd = connect_raw();
  const std::vector<std::string> garbage = {"",
                                            "x",
                                            "{",
                                            "[]",
                                            "1",
                                            "null",
                                            "\"op\"",
                                            "{\"op\":}",
                                            std::string("\0\1\2", 3),
                                            "\xff\xfe",
                                            std::string(60'000, '['),
                                            "{\"a\":" + std::string(50'000, '[')};
  for (const std::string& line : garbage) {
    send_text(fd, line + "\n");
    const json answer = json::parse(receive_lines(fd, 1), nullptr, false);
    ASSERT_TRUE(answer.is_object());
    EXPECT_EQ(answer["ok"], false);
    EXPECT_EQ(answer["code"], EINVAL);
  }
  send_text(fd, "{\"op\":\"echo\"}\n");
  EXPECT_EQ(json::parse(receive_lines(fd, 1))["ok"], true);
}

TEST_F(HostileClient, RandomBytesNeverStopService) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::string bytes(random() % 3000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const UniqueFd fd = connect_raw();
    send_text(fd, bytes);
  }
  expect_service();
}

TEST_F(HostileClient, ARequestInPiecesIsOneRequest) {
  const UniqueFd fd = connect_raw();
  for (const char byte : std::string("{\"op\":\"echo\"}\n")) {
    send_text(fd, std::string(1, byte));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(json::parse(receive_lines(fd, 1))["ok"], true);
}

TEST_F(HostileClient, SeveralRequestsInOnePacketAreAllAnswered) {
  const UniqueFd fd = connect_raw();
  std::string text;
  for (int i = 0; i < 100; ++i) text += "{\"n\":" + std::to_string(i) + "}\n";
  send_text(fd, text);
  shutdown(fd.get(), SHUT_WR);
  const std::string answers = receive_lines(fd, 1000);
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), 100);
  EXPECT_NE(answers.find("{\"n\":99}"), std::string::npos);
}

TEST_F(HostileClient, AnOverlongLineIsRefusedAndTheConnectionEnds) {
  const UniqueFd fd = connect_raw();
  send_text(fd, std::string(1 << 20, 'a'));
  const std::string answers = receive_lines(fd, 2);
  EXPECT_NE(answers.find("longer than 64 KiB"), std::string::npos);
  expect_service();
}

TEST_F(HostileClient, TheLongestAllowedLineIsServed) {
  const UniqueFd fd = connect_raw();
  const std::string frame = "{\"a\":\"\"}\n";
  const std::string line = "{\"a\":\"" + std::string((64 << 10) - frame.size(), 'x') + "\"}\n";
  ASSERT_EQ(line.size(), 64u << 10);
  send_text(fd, line);
  EXPECT_EQ(json::parse(receive_lines(fd, 1))["ok"], true);

  const UniqueFd other = connect_raw();
  send_text(other, "{\"a\":\"x" + line.substr(6));
  EXPECT_NE(receive_lines(other, 1).find("longer than 64 KiB"), std::string::npos);
}

TEST_F(HostileClient, SilentAndHalfClientsKeepNobodyWaiting) {
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 20; ++i) {
    silent.push_back(connect_raw());
    if (i % 2 == 0) send_text(silent.back(), "{\"op\":");
  }
  expect_service();
}

TEST_F(HostileClient, ASilentClientIsDroppedInTime) {
  const UniqueFd fd = connect_raw();
  send_text(fd, "{\"op\"");
  pollfd entry{fd.get(), POLLIN, 0};
  // Readable means the end of the connection here; it comes by itself.
  ASSERT_EQ(poll(&entry, 1, 20'000), 1);
  char byte;
  EXPECT_LE(recv(fd.get(), &byte, 1, 0), 0);
}

TEST_F(HostileClient, ACrowdLargerThanTheServersShutsNobodyOut) {
  std::vector<UniqueFd> crowd;
  for (int i = 0; i < 300; ++i) {
    crowd.push_back(connect_raw(SOCK_NONBLOCK));
    if (i % 50 == 0) expect_service();
  }
  expect_service();
}

TEST_F(HostileClient, OneWhoNeverReadsHoldsUpNobody) {
  const UniqueFd fd = connect_raw(SOCK_NONBLOCK);
  for (int i = 0; i < 50; ++i) send_text(fd, "{\"op\":\"large\"}\n");
  expect_service();
}

TEST_F(HostileClient, OneWhoLeavesBeforeTheAnswerRaisesNoSignal) {
  for (int i = 0; i < 8; ++i) {
    const UniqueFd fd = connect_raw();
    send_text(fd, "{\"op\":\"large\"}\n");
  }
  expect_service();
}

TEST_F(HostileClient, ManyHonestOnesAtOnceAreAllServed) {
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const auto answer = call("pleat0", {{"n", t * 1000 + i}}, 10'000);
        if (answer && (*answer)["request"]["n"] == t * 1000 + i) ++served;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, 400);
}

TEST_F(HostileClient, TheEndOfServiceWaitsForNoClient) {
  const UniqueFd unread = connect_raw(SOCK_NONBLOCK);
  for (int i = 0; i < 50; ++i) send_text(unread, "{\"op\":\"large\"}\n");
  const UniqueFd silent = connect_raw();
  expect_service();
  server_.reset();  // the test's own time limit is the assertion
  EXPECT_TRUE(device_names().empty());
}

// A server of the test's own that answers with given bytes and then holds the connection.
class HostileServer : public ::testing::Test {
 protected:
  Error error_for(const std::string& bytes, bool hold, unsigned timeout_ms) {
    const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM, 0));
    const sockaddr_un address = address_of("pleat0");
    unlink(address.sun_path);
    EXPECT_EQ(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    UniqueFd held;
    std::thread thread([&] {
      UniqueFd fd(accept(listener.get(), nullptr, nullptr));
      send_text(fd, bytes);
      if (hold) held = std::move(fd);
    });
    const auto answer = call("pleat0", {{"op", "stat"}}, timeout_ms);
    thread.join();
    EXPECT_FALSE(answer.has_value());
    return answer ? Error{} : answer.error();
  }

  RuntimeDirectory directory_;
};

TEST_F(HostileServer, SilenceEndsInATimeout) {
  EXPECT_EQ(error_for("", true, 50).code, ETIMEDOUT);
  EXPECT_EQ(error_for("{\"ok\":true", true, 50).code, ETIMEDOUT);
}

TEST_F(HostileServer, DeathBeforeTheAnswerIsSaid) {
  EXPECT_EQ(error_for("", false, 5000).code, ECONNRESET);
  EXPECT_EQ(error_for("{\"ok\":true}", false, 5000).code, ECONNRESET);
}

TEST_F(HostileServer, NonsenseIsAnErrorNotACrash) {
  for (const char* answer : {"\n", "[]\n", "{}\n", "{\"ok\":1}\n", "{\"ok\":false}\n",
                             "{\"ok\":false,\"code\":\"x\",\"error\":\"y\"}\n",
                             "{\"ok\":false,\"code\":5,\"error\":6}\n", "\xff\n"}) {
    EXPECT_EQ(error_for(answer, false, 5000).code, EBADMSG) << answer;
  }
}

TEST_F(HostileServer, AnEndlessAnswerIsCutOff) {
  EXPECT_EQ(error_for(std::string(3 << 20, 'x'), false, 5000).code, EBADMSG);
}

}  // namespace
}  // namespace pleat::control
