// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/list.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "tool/columns.h"
#include "tool/show_fixture.h"

namespace pleat::tool {
namespace {

class List : public ShowTest {
 protected:
  std::string list(const ListOptions& options) { return shown(list_devices, options); }
};

TEST_F(List, OfNoDevicesIsEmpty) {
  EXPECT_EQ(list({}), "");
  EXPECT_TRUE(result_.has_value());
  EXPECT_EQ(list({.json = true}), "{\n  \"devices\": []\n}\n");
}

TEST_F(List, ShowsDevicesInNaturalOrderAndAligned) {
  const FakeDaemon ten(status_named("pleat10"));
  control::DeviceStatus empty = status_named("pleat2");
  empty.path = "/dev/loop3";
  empty.transport = "loop";
  empty.orig_data_size = empty.compr_data_size = empty.mem_used_total = 0;
  const FakeDaemon two(empty);
  kernel_.set_swap("/dev/ublkb0");
  EXPECT_EQ(list({}),
            "NAME    DEVICE      TRANSPORT ALGORITHM DISKSIZE  DATA COMPR TOTAL COMP-RATIO "
            "MOUNTPOINT\n"
            "pleat2  /dev/loop3  loop      lz4             4G    0B    0B    0B          - -\n"
            "pleat10 /dev/ublkb0 ublk      lz4             4G 39.1M 11.4M 12.5M       3.12 "
            "[SWAP]\n");
  EXPECT_TRUE(result_.has_value());
}

TEST_F(List, ShowsOnlyTheNamedDevicesEachOnce) {
  const FakeDaemon a(status_named("a"));
  const FakeDaemon b(status_named("b"));
  EXPECT_EQ(list({.names = {"b", "b"}, .output = "NAME", .no_headings = true}), "b\n");
}

TEST_F(List, TakesAPathForAName) {
  control::DeviceStatus status = status_named("a");
  status.path = "/dev/ublkb5";
  const FakeDaemon a(status);
  const FakeDaemon b(status_named("b"));
  EXPECT_EQ(list({.names = {"/dev/ublkb5"}, .output = "NAME", .no_headings = true}), "a\n");
}

TEST_F(List, RawHasOneWordAColumn) {
  const FakeDaemon a(status_named("a"));
  kernel_.write("/proc/self/mountinfo", "29 1 0:26 / /mnt\\040two rw - ext4 /dev/ublkb0 rw\n");
  EXPECT_EQ(list({.output = "NAME,DISKSIZE,MOUNTPOINT", .bytes = true, .raw = true}),
            "NAME DISKSIZE MOUNTPOINT\na 4294967296 /mnt\\x20two\n");
}

TEST_F(List, JsonHasTheColumnsWithTheirTypes) {
  const FakeDaemon a(status_named("a"));
  EXPECT_EQ(list({.output = "NAME,DISKSIZE,COMP-RATIO,STREAMS,MOUNTPOINT", .json = true}),
            "{\n"
            "  \"devices\": [\n"
            "    {\n"
            "      \"name\": \"a\",\n"
            "      \"disksize\": 4294967296,\n"
            "      \"comp_ratio\": 3.125,\n"
            "      \"streams\": 2,\n"
            "      \"mountpoint\": []\n"
            "    }\n"
            "  ]\n"
            "}\n");
}

TEST_F(List, JsonOfAllColumnsHasEveryKey) {
  const FakeDaemon a(status_named("a"));
  const auto object = nlohmann::json::parse(list({.output_all = true, .json = true}));
  for (const Column& column : all_columns()) {
    EXPECT_TRUE(object["devices"][0].contains(column.json_key())) << column.name;
  }
}

TEST_F(List, AnEmptyDevicesRatioIsNullInJson) {
  control::DeviceStatus status = status_named("a");
  status.mem_used_total = 0;
  const FakeDaemon a(status);
  const auto object = nlohmann::json::parse(list({.output = "COMP-RATIO", .json = true}));
  EXPECT_TRUE(object["devices"][0]["comp_ratio"].is_null());
}

TEST_F(List, ADeadDaemonHasARowAndIsTheError) {
  const FakeDaemon a(status_named("a"));
  leave_dead_socket("dead");
  EXPECT_EQ(list({.output = "NAME,DEVICE,TOTAL"}),
            "NAME DEVICE        TOTAL\n"
            "a    /dev/ublkb0   12.5M\n"
            "dead not answering     -\n");
  ASSERT_FALSE(result_.has_value());
  EXPECT_NE(result_.error().message.find("pleat remove dead"), std::string::npos);

  const auto object = nlohmann::json::parse(list({.json = true}));
  EXPECT_FALSE(result_.has_value());
  EXPECT_TRUE(object["devices"][1]["disksize"].is_null());
  EXPECT_TRUE(object["devices"][1]["error"].is_string());
  EXPECT_FALSE(object["devices"][0].contains("error"));
}

TEST_F(List, ANameThatNobodyHasIsAnError) {
  const FakeDaemon a(status_named("a"));
  EXPECT_EQ(list({.names = {"nobody"}}), "");
  ASSERT_FALSE(result_.has_value());
  EXPECT_EQ(result_.error().message, "no device nobody; see pleat list");
}

TEST_F(List, ADaemonOfAnotherVersionIsNotMisread) {
  auto server = control::Server::start(
      "old", [](const nlohmann::json&, std::span<const UniqueFd>) -> Result<nlohmann::json> {
        return nlohmann::json{{"ok", true}, {"status", {{"name", "old"}}}};
      });
  ASSERT_TRUE(server.has_value());
  EXPECT_EQ(list({.output = "NAME,STATE", .no_headings = true}), "old not answering\n");
  ASSERT_FALSE(result_.has_value());
  EXPECT_NE(result_.error().message.find("older or newer"), std::string::npos);
}

}  // namespace
}  // namespace pleat::tool
