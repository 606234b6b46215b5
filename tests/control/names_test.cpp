// SPDX-License-Identifier: MIT OR Apache-2.0
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "control/runtime_directory.h"
#include "control/socket.h"

namespace pleat::control {
namespace {

TEST(Names, AllowNoWayOutOfTheRuntimeDirectory) {
  for (const char* name : {"pleat0", "a", "A_b.c-d", "0", "x.sock", "_"}) {
    EXPECT_TRUE(valid_name(name)) << name;
  }
  for (const char* name :
       {"", ".", "..", ".hidden", "-o", "a/b", "../x", "a b", "a\n", "ü", "a:b"}) {
    EXPECT_FALSE(valid_name(name)) << name;
  }
  EXPECT_TRUE(valid_name(std::string(32, 'a')));
  EXPECT_FALSE(valid_name(std::string(33, 'a')));
  EXPECT_FALSE(valid_name(std::string("a\0b", 3)));
}

TEST(Names, TheDirectoryIsRunPleatUnlessSet) {
  unsetenv("PLEAT_RUNTIME_DIR");
  EXPECT_EQ(runtime_directory(), "/run/pleat");
  EXPECT_EQ(socket_path("pleat0"), "/run/pleat/pleat0.sock");
  setenv("PLEAT_RUNTIME_DIR", "", 1);
  EXPECT_EQ(runtime_directory(), "/run/pleat");
  const RuntimeDirectory directory;
  EXPECT_EQ(socket_path("pleat0"), directory.path() + "/pleat0.sock");
}

TEST(Names, ListsSocketsOnlyAndSorted) {
  const RuntimeDirectory directory;
  EXPECT_TRUE(device_names().empty());
  for (const char* file : {"b.sock", "a.sock", "c.log", ".lock", ".x.sock", ".sock", "sock"}) {
    std::ofstream(directory.path() + "/" + file) << "";
  }
  EXPECT_EQ(device_names(), (std::vector<std::string>{"a", "b"}));
}

TEST(Names, AMissingDirectoryHasNoDevices) {
  const RuntimeDirectory directory;
  std::filesystem::remove(directory.path());
  EXPECT_TRUE(device_names().empty());
}

TEST(Names, BadNamesReachNoFile) {
  const RuntimeDirectory directory;
  const auto answer = call("../x", {{"op", "stat"}}, 100);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, EINVAL);
  EXPECT_FALSE(Server::start("a/b", nullptr).has_value());
}

TEST(Names, AnOverlongDirectoryIsAnErrorNotATruncation) {
  setenv("PLEAT_RUNTIME_DIR", ("/tmp/" + std::string(100, 'd')).c_str(), 1);
  EXPECT_EQ(call("pleat0", {{"op", "stat"}}, 100).error().code, ENAMETOOLONG);
  EXPECT_EQ(Server::start("pleat0", nullptr).error().code, ENAMETOOLONG);
  unsetenv("PLEAT_RUNTIME_DIR");
}

}  // namespace
}  // namespace pleat::control
