// SPDX-License-Identifier: MIT OR Apache-2.0
#include "control/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>

#include "control/sample_status.h"

namespace pleat::control {
namespace {

using nlohmann::json;

// Every number of a JSON value, nested ones included.
void collect_numbers(const json& value, std::multiset<std::int64_t>& numbers) {
  if (value.is_number()) numbers.insert(value.get<std::int64_t>());
  if (!value.is_structured()) return;
  for (const json& element : value) collect_numbers(element, numbers);
}

TEST(StatusJson, EveryFieldSurvivesTheWayThereAndBack) {
  const json sent = to_json(sample_status());
  // As on the socket, where numbers lose their C++ types.
  const auto back = status_from_json(json::parse(sent.dump()));
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(to_json(*back), sent);
}

TEST(StatusJson, HasTheSamplesNumbersAllDistinct) {
  // If two keys read the same field, a number would be there twice and another missing.
  std::multiset<std::int64_t> numbers;
  collect_numbers(to_json(sample_status()), numbers);
  EXPECT_EQ(numbers.size(), 127u);
  for (const std::int64_t number : numbers) EXPECT_EQ(numbers.count(number), 1u) << number;
}

TEST(StatusJson, KeysAreTheFieldNames) {
  const json object = to_json(sample_status());
  EXPECT_EQ(object["orig_data_size"], 40'960'000);
  EXPECT_EQ(object["transport_reason"], "ublk: this kernel has it");
  EXPECT_EQ(object["features"], json::array({"USER_COPY", "CMD_IOCTL_ENCODE"}));
  EXPECT_EQ(object["read"]["p99_ns"], 26'000);
  EXPECT_EQ(object["write"]["requests"], 32);
}

TEST(StatusJson, AMissingKeyIsNamed) {
  const json whole = to_json(sample_status());
  for (const auto& entry : whole.items()) {
    json object = whole;
    object.erase(entry.key());
    const auto status = status_from_json(object);
    ASSERT_FALSE(status.has_value()) << entry.key();
    EXPECT_EQ(status.error().code, EBADMSG);
    EXPECT_NE(status.error().message.find("'" + entry.key() + "'"), std::string::npos);
  }
}

TEST(StatusJson, AKeyOfAnotherTypeIsNamed) {
  const json whole = to_json(sample_status());
  for (const auto& entry : whole.items()) {
    json object = whole;
    object[entry.key()] = true;
    const auto status = status_from_json(object);
    ASSERT_FALSE(status.has_value()) << entry.key();
    EXPECT_NE(status.error().message.find("'" + entry.key() + "'"), std::string::npos);
  }
}

TEST(StatusJson, NumbersOutsideTheirFieldAreRefused) {
  const json whole = to_json(sample_status());
  const std::pair<const char*, json> bad[] = {{"queues", -1},
                                              {"queues", std::uint64_t{1} << 32},
                                              {"id", std::uint64_t{1} << 31},
                                              {"disksize", -4096},
                                              {"disksize", 1.5},
                                              {"pid", std::uint64_t{1} << 63},
                                              {"features", "x"},
                                              {"features", json::array({1})},
                                              {"read", json::object()}};
  json short_of_a_bucket = whole;
  short_of_a_bucket["read"]["buckets"].erase(0);
  EXPECT_FALSE(status_from_json(short_of_a_bucket).has_value());
  for (const auto& [key, value] : bad) {
    json object = whole;
    object[key] = value;
    EXPECT_FALSE(status_from_json(object).has_value()) << key << " " << value;
  }
  json largest = whole;
  largest["disksize"] = ~std::uint64_t{0};
  largest["id"] = -1;
  const auto status = status_from_json(largest);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->disksize, ~std::uint64_t{0});
  EXPECT_EQ(status->id, -1);
}

TEST(StatusJson, WhatIsNoObjectIsRefused) {
  for (const json& value : {json(nullptr), json(1), json::array(), json("status")}) {
    EXPECT_FALSE(status_from_json(value).has_value()) << value;
  }
}

TEST(StatusJson, UnknownKeysOfANewerDaemonAreIgnored) {
  json object = to_json(sample_status());
  object["from_the_future"] = 1;
  EXPECT_TRUE(status_from_json(object).has_value());
}

}  // namespace
}  // namespace pleat::control
