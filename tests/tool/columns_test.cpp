// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/columns.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "control/sample_status.h"

namespace pleat::tool {
namespace {

Device sample_device() {
  Device device;
  device.name = "pleat0";
  device.status = control::sample_status();
  device.mount_points = {"[SWAP]"};
  return device;
}

std::string text_of(std::string_view name, const Device& device, bool exact = false) {
  return column_text(*select_columns(name).value().front(), device, exact);
}

std::vector<std::string> names_of(std::string_view list) {
  const std::vector<const Column*> columns = select_columns(list).value();
  std::vector<std::string> names;
  for (const Column* column : columns) names.emplace_back(column->name);
  return names;
}

TEST(Columns, StartWithZramctlsInItsOrder) {
  const std::vector<std::string_view> zramctl = {
      "NAME",  "DISKSIZE",  "DATA",     "COMPR",    "ALGORITHM",  "STREAMS",   "ZERO-PAGES",
      "TOTAL", "MEM-LIMIT", "MEM-USED", "MIGRATED", "COMP-RATIO", "MOUNTPOINT"};
  ASSERT_GE(all_columns().size(), zramctl.size());
  for (std::size_t i = 0; i < zramctl.size(); ++i) EXPECT_EQ(all_columns()[i].name, zramctl[i]);
}

TEST(Columns, HaveNamesAndKeysOfTheirOwn) {
  std::set<std::string> keys;
  for (const Column& column : all_columns()) {
    EXPECT_TRUE(keys.insert(column.json_key()).second) << column.name;
    EXPECT_EQ(column.json_key().find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"),
              std::string::npos);
  }
}

TEST(Columns, OfARunningDeviceAllHaveAValue) {
  const Device device = sample_device();
  for (const Column& column : all_columns()) {
    EXPECT_FALSE(column_value(column, device).is_null()) << column.name;
    EXPECT_FALSE(column_text(column, device, false).empty()) << column.name;
    EXPECT_FALSE(column_text(column, device, true).empty()) << column.name;
  }
}

TEST(Columns, ShowTheFieldsTheyAreNamedAfter) {
  const Device device = sample_device();
  EXPECT_EQ(text_of("DISKSIZE", device), "4G");
  EXPECT_EQ(text_of("DATA", device), "39.1M");
  EXPECT_EQ(text_of("DATA", device, true), "40960000");
  EXPECT_EQ(text_of("COMPR", device, true), "12000001");
  EXPECT_EQ(text_of("TOTAL", device, true), "13107200");
  EXPECT_EQ(text_of("MEM-USED", device, true), "14000128");
  EXPECT_EQ(text_of("MEM-LIMIT", device), "1G");
  EXPECT_EQ(text_of("STREAMS", device), "2");
  EXPECT_EQ(text_of("ZERO-PAGES", device), "1500");
  EXPECT_EQ(text_of("COMP-RATIO", device), "3.12");
  EXPECT_EQ(text_of("PAGES", device), "10000");
  EXPECT_EQ(text_of("WRITE-P99", device), "36.0us");
  EXPECT_EQ(text_of("WRITE-P99", device, true), "36000");
  EXPECT_EQ(text_of("METADATA", device, true), "8570528");
  EXPECT_EQ(text_of("MOUNTPOINT", device), "[SWAP]");
}

TEST(Columns, MigratedIsACountNotASize) { EXPECT_EQ(text_of("MIGRATED", sample_device()), "6"); }

TEST(Columns, TheRatioOfNothingIsNone) {
  Device device = sample_device();
  device.status->mem_used_total = 0;
  EXPECT_EQ(text_of("COMP-RATIO", device), "-");
  EXPECT_TRUE(column_value(*select_columns("COMP-RATIO").value().front(), device).is_null());
}

TEST(Columns, TheLatencyOfNoRequestIsNone) {
  Device device = sample_device();
  device.status->read = {};
  EXPECT_EQ(text_of("READ-P99", device), "-");
}

TEST(Columns, SeveralMountPointsAreOneCell) {
  Device device = sample_device();
  device.mount_points = {"/mnt", "/srv"};
  EXPECT_EQ(text_of("MOUNTPOINT", device), "/mnt,/srv");
  device.mount_points.clear();
  EXPECT_EQ(text_of("MOUNTPOINT", device), "-");
}

TEST(Columns, OfADeviceThatDoesNotAnswerSayNothingElse) {
  Device device;
  device.name = "pleat9";
  for (const Column& column : all_columns()) {
    const std::string text = column_text(column, device, false);
    if (column.name == "NAME") {
      EXPECT_EQ(text, "pleat9");
    } else if (column.name == "DEVICE" || column.name == "STATE") {
      EXPECT_EQ(text, "not answering");
    } else {
      EXPECT_EQ(text, "-") << column.name;
    }
  }
}

TEST(ColumnList, IsTakenInItsOrderAndAnyCase) {
  EXPECT_EQ(names_of("total,NAME,Comp-Ratio"),
            (std::vector<std::string>{"TOTAL", "NAME", "COMP-RATIO"}));
}

TEST(ColumnList, WithAPlusExtendsTheDefault) {
  std::vector<std::string> expected = names_of("");
  EXPECT_EQ(expected.front(), "NAME");
  expected.push_back("PID");
  expected.push_back("ISA");
  EXPECT_EQ(names_of("+PID,ISA"), expected);
}

TEST(ColumnList, NamesWhatIsUnknown) {
  for (const char* list : {"FOO", "NAME,FOO", "+FOO"}) {
    const auto columns = select_columns(list);
    ASSERT_FALSE(columns.has_value());
    EXPECT_EQ(columns.error().code, EINVAL);
    EXPECT_NE(columns.error().message.find("'FOO'"), std::string::npos);
    EXPECT_NE(columns.error().message.find("COMP-RATIO"), std::string::npos);
  }
  EXPECT_FALSE(select_columns("NAME,").has_value());
  EXPECT_FALSE(select_columns("+").has_value());
  EXPECT_FALSE(select_columns("NAM").has_value());
}

TEST(ColumnHelp, HasEveryColumn) {
  const std::string help = columns_help();
  for (const Column& column : all_columns()) {
    EXPECT_NE(help.find("\n  " + std::string(column.name) + " "), std::string::npos);
  }
}

}  // namespace
}  // namespace pleat::tool
