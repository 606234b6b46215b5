// SPDX-License-Identifier: MIT OR Apache-2.0
#include "control/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <numeric>
#include <set>

#include "control/exposition.h"
#include "control/sample_status.h"

namespace pleat::control {
namespace {

DeviceStatus sample_named(const std::string& name) {
  DeviceStatus status = sample_status();
  status.name = name;
  return status;
}

Exposed expose(const std::vector<DeviceStatus>& devices) {
  Exposed exposed = read_exposition(metrics_text(devices));
  EXPECT_EQ(exposed.error, "");
  return exposed;
}

TEST(Metrics, AreReadByAStrictReader) {
  EXPECT_EQ(metrics_text({}), "");
  const Exposed one = expose({sample_status()});
  const Exposed three = expose({sample_named("a"), sample_named("b"), sample_named("c")});
  ASSERT_GT(one.families.size(), 25u);
  EXPECT_EQ(three.families.size(), one.families.size());
  for (const ExposedFamily& family : one.families) {
    EXPECT_EQ(three.find(family.name)->samples.size(), 3 * family.samples.size()) << family.name;
  }
}

TEST(Metrics, TheReaderIsStrict) {
  const std::string good = metrics_text(std::vector<DeviceStatus>{sample_status()});
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    return !read_exposition(text).error.empty();
  };
  EXPECT_FALSE(broken("pleat_stand_bys", "pleat_stand_bys"));
  EXPECT_TRUE(broken("# TYPE pleat_stand_bys gauge\n", ""));
  EXPECT_TRUE(broken("# HELP pleat_stand_bys", "# HELP pleat_uptime_seconds"));
  EXPECT_TRUE(broken("} 5\n", "} five\n"));
  EXPECT_TRUE(broken("algorithm=\"lz4\"", "algorithm=lz4"));
  EXPECT_TRUE(broken("le=\"+Inf\"", "le=\"2\""));
  EXPECT_TRUE(broken("le=\"0.000002\"", "le=\"0.0000001\""));
  EXPECT_TRUE(broken("pleat_request_duration_seconds_sum", "pleat_request_duration_seconds_total"));
  EXPECT_TRUE(read_exposition(good + good).error.starts_with("a family is there twice"));
  EXPECT_FALSE(read_exposition(good.substr(0, good.size() - 1)).error.empty());
}

TEST(Metrics, EveryNumberOfTheStatusIsOnceAmongThem) {
  const Exposed exposed = expose({sample_status()});
  const auto value = [&](const std::string& name) { return exposed.find(name)->samples[0].value; };
  EXPECT_EQ(value("pleat_stored_bytes"), 40'960'000);
  EXPECT_EQ(value("pleat_pool_used_bytes"), 13'107'200);
  EXPECT_EQ(value("pleat_over_limit_writes_total"), 18);
  EXPECT_EQ(value("pleat_take_overs_total"), 4);
  EXPECT_EQ(value("pleat_uptime_seconds"), 61);
  EXPECT_EQ(value("pleat_busy_seconds_total"), 2.1);
  // The sample's numbers are all distinct, so a metric that reads another's field shows.
  std::multiset<double> values;
  for (const ExposedFamily& family : exposed.families) {
    if (family.type != "histogram" && family.name != "pleat_device_info") {
      for (const ExposedSample& sample : family.samples) values.insert(sample.value);
    }
  }
  for (const double number : values) EXPECT_EQ(values.count(number), 1u) << number;
}

TEST(Metrics, NamesSayUnitAndKind) {
  for (const ExposedFamily& family : expose({sample_status()}).families) {
    EXPECT_TRUE(family.name.starts_with("pleat_")) << family.name;
    EXPECT_EQ(family.name.ends_with("_total"), family.type == "counter") << family.name;
    EXPECT_TRUE(family.help.ends_with(".")) << family.name;
    for (const ExposedSample& sample : family.samples) {
      EXPECT_EQ(sample.labels.at("device"), "pleat0") << family.name;
      EXPECT_EQ(sample.labels.at("algorithm"), "lz4") << family.name;
    }
  }
}

TEST(Metrics, HistogramsHoldTheStatussBuckets) {
  const DeviceStatus status = sample_status();
  const Exposed exposed = expose({status});
  const ExposedFamily* const family = exposed.find("pleat_request_duration_seconds");
  ASSERT_NE(family, nullptr);
  const auto total = [](const LatencyBuckets& buckets, std::size_t count) {
    return std::accumulate(buckets.begin(), buckets.begin() + static_cast<std::ptrdiff_t>(count),
                           0.0);
  };
  const std::size_t series = kLatencyLimits_ns.size() + 3;
  ASSERT_EQ(family->samples.size(), 3 * series);
  const std::vector<std::pair<std::string, LatencyStatus>> all = {
      {"read", status.read}, {"write", status.write}, {"discard", status.discard}};
  for (std::size_t op = 0; op < all.size(); ++op) {
    for (std::size_t i = 0; i <= kLatencyLimits_ns.size(); ++i) {
      const ExposedSample& sample = family->samples[op * series + i];
      EXPECT_EQ(sample.labels.at("op"), all[op].first);
      EXPECT_EQ(sample.value, total(all[op].second.buckets, i + 1));
      if (i == kLatencyLimits_ns.size()) {
        EXPECT_EQ(sample.labels.at("le"), "+Inf");
      } else {
        EXPECT_DOUBLE_EQ(std::strtod(sample.labels.at("le").c_str(), nullptr) * 1e9,
                         static_cast<double>(kLatencyLimits_ns[i]));
      }
    }
    EXPECT_DOUBLE_EQ(family->samples[op * series + series - 2].value,
                     static_cast<double>(all[op].second.total_ns) / 1e9);
  }
}

TEST(Metrics, LabelsAreEscaped) {
  DeviceStatus status = sample_status();
  status.path = "/dev/\"a\\b\"\nc";
  const Exposed exposed = expose({status});
  EXPECT_EQ(exposed.find("pleat_device_info")->samples[0].labels.at("path"), status.path);
}

// docs/metrics.md has a table: | `name` | type | help |.
TEST(Metrics, ThePageAndTheCodeAgree) {
  std::ifstream file(PLEAT_SOURCE_DIR "/docs/metrics.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  std::set<std::string> described;
  const std::regex row(R"(\n\| `(pleat_[a-z_]+)` \| ([a-z]+) \| ([^|]+) \|)");
  for (std::sregex_iterator it(page.begin(), page.end(), row), end; it != end; ++it) {
    described.insert((*it)[1].str() + " " + (*it)[2].str() + " " + (*it)[3].str());
  }
  std::set<std::string> exposed;
  for (const ExposedFamily& family : expose({sample_status()}).families) {
    exposed.insert(family.name + " " + family.type + " " + family.help);
  }
  EXPECT_EQ(described, exposed);
}

}  // namespace
}  // namespace pleat::control
