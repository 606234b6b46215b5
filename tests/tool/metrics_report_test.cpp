// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/metrics_report.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "control/exposition.h"
#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"

namespace pleat::tool {
namespace {

class MetricsCommand : public ::testing::Test {
 protected:
  std::string metrics(const MetricsOptions& options) {
    std::ostringstream out;
    result_ = show_metrics(options, out);
    return out.str();
  }
  static std::string content(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  control::RuntimeDirectory directory_;
  Result<void> result_;
};

TEST_F(MetricsCommand, CoverAllDevicesOrThoseNamed) {
  const FakeDaemon a(status_named("a"));
  const FakeDaemon b(status_named("b"));
  const auto devices = [&](const MetricsOptions& options) {
    const control::Exposed exposed = control::read_exposition(metrics(options));
    EXPECT_EQ(exposed.error, "");
    std::string names;
    for (const auto& sample : exposed.find("pleat_stored_bytes")->samples) {
      names += sample.labels.at("device");
    }
    return names;
  };
  EXPECT_EQ(devices({}), "ab");
  EXPECT_EQ(devices({.names = {"b"}}), "b");
  EXPECT_EQ(devices({.names = {"b", "a"}}), "ba");
  EXPECT_TRUE(result_);
}

TEST_F(MetricsCommand, OfADeadDeviceAreMissingAndAnError) {
  const FakeDaemon a(status_named("a"));
  leave_dead_socket("dead");
  const std::string text = metrics({});
  EXPECT_NE(text.find("device=\"a\""), std::string::npos);
  EXPECT_EQ(text.find("device=\"dead\""), std::string::npos);
  ASSERT_FALSE(result_);
  EXPECT_EQ(result_.error().code, ECONNREFUSED);
}

TEST_F(MetricsCommand, WithoutDevicesAreNone) {
  EXPECT_EQ(metrics({}), "");
  EXPECT_TRUE(result_);
  EXPECT_EQ(metrics({.names = {"nobody"}}), "");
  EXPECT_EQ(result_.error().code, ENOENT);
}

TEST_F(MetricsCommand, AFileIsReplacedAsAWhole) {
  const FakeDaemon a(status_named("a"));
  const std::string folder = directory_.path() + "/collector";
  std::filesystem::create_directory(folder);
  const std::string path = folder + "/pleat.prom";
  std::ofstream(path) << "old\n";
  struct stat before {};
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  // A reader that has the old file open reads the old one to its end.
  std::ifstream reader(path);
  EXPECT_EQ(metrics({.output = path}), "");
  ASSERT_TRUE(result_) << result_.error().message;
  struct stat after {};
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_NE(before.st_ino, after.st_ino);
  EXPECT_EQ(after.st_mode & 0777, 0644u);
  EXPECT_EQ(content(path), metrics({}));
  std::string line;
  EXPECT_TRUE(std::getline(reader, line) && line == "old");
  // Nothing unfinished is left beside it, also where it cannot be done.
  EXPECT_EQ(metrics({.output = folder}), "");
  EXPECT_FALSE(result_);
  EXPECT_EQ(metrics({.output = folder + "/no/pleat.prom"}), "");
  EXPECT_EQ(result_.error().code, ENOENT);
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    left.push_back(entry.path());
  EXPECT_EQ(left, std::vector<std::string>{path});
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with("collector.")) << entry.path();
  }
}

}  // namespace
}  // namespace pleat::tool
