// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/live_status.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <numeric>

#include "base/clock.h"
#include "base/page.h"

namespace pleat::daemon {
namespace {

class Status : public testing::Test {
 protected:
  Status() {
    options_.name = "demo";
    options_.algorithm = "lz4";
    options_.block_bytes = 512;
    transport_.kind = device::TransportKind::kLoop;
    transport_.path = "/dev/loop3";
    transport_.id = 3;
    transport_.queues = 2;
    transport_.depth = 64;
    transport_.features = {"DIRECT_IO"};
  }
  control::DeviceStatus compose() {
    return compose_status({options_,
                           transport_,
                           reason_,
                           notes_,
                           {&first_, &second_},
                           store_,
                           backing_state_,
                           "avx2",
                           2,
                           3,
                           1'234'567'890,
                           4096,
                           pss_bytes_});
  }

  Options options_;
  device::TransportInfo transport_;
  std::string reason_ = "loop: asked for";
  std::vector<std::string> notes_ = {"a note"};
  device::QueueStats first_;
  device::QueueStats second_;
  store::StoreStats store_;
  Result<void> backing_state_;
  std::uint64_t pss_bytes_ = 0;
};

TEST_F(Status, SaysWhatTheDeviceIs) {
  const auto status = compose();
  EXPECT_EQ(status.name, "demo");
  EXPECT_EQ(status.path, "/dev/loop3");
  EXPECT_EQ(status.transport, "loop");
  EXPECT_EQ(status.transport_reason, "loop: asked for");
  EXPECT_THAT(status.features, testing::ElementsAre("DIRECT_IO", "a note"));
  EXPECT_EQ(status.pid, getpid());
  EXPECT_EQ(status.stand_bys, 2u);
  EXPECT_EQ(status.take_overs, 3u);
  EXPECT_EQ(status.resident_bytes, 4096u);
  EXPECT_EQ(status.isa, "avx2");
  EXPECT_EQ(status.queues, 2u);
  EXPECT_EQ(status.queue_depth, 64u);
  EXPECT_EQ(status.block_bytes, 512u);
  EXPECT_EQ(status.uptime_ms, 1234u);
  EXPECT_FALSE(status.version.empty());
}

TEST_F(Status, EveryCounterOfTheStoreKeepsItsPlace) {
  store_ = {.orig_data_size = 1,
            .compr_data_size = 2,
            .mem_used_total = 3,
            .mem_limit = 4,
            .mem_used_max = 5,
            .same_pages = 6,
            .pages_compacted = 7,
            .huge_pages = 8,
            .huge_pages_since = 9,
            .failed_reads = 10,
            .failed_writes = 11,
            .notify_free = 12,
            .backing_used = 31,
            .backing_reads = 32,
            .backing_writes = 33,
            .backing_bytes = 34,
            .backing_failures = 35,
            .pages_written_back = 36,
            .writeback_limit = 37 * kPageSize,
            .corrupt_pages = 13,
            .no_reserve_writes = 14,
            .over_limit_writes = 15,
            .pages_recompressed = 21,
            .recompress_saved = 22,
            .device_bytes = 16,
            .device_bytes_max = 20,
            .slot_table_bytes = 17,
            .metadata_bytes = 18,
            .reserve_bytes = 19};
  first_.invalid_requests = 1;
  const auto status = compose();
  EXPECT_EQ(control::mm_stat_line(status),
            "       1        2        3        4        5        6        7        8        9\n");
  EXPECT_EQ(control::io_stat_line(status), "      10       11        1       12\n");
  EXPECT_EQ(status.corrupt_pages, 13u);
  EXPECT_EQ(status.no_reserve_writes, 14u);
  EXPECT_EQ(status.over_limit_writes, 15u);
  EXPECT_EQ(status.pages_recompressed, 21u);
  EXPECT_EQ(status.recompress_saved, 22u);
  EXPECT_EQ(control::bd_stat_line(status), "      31       32       33\n");
  EXPECT_EQ(status.backing_bytes, 34u);
  EXPECT_EQ(status.backing_failures, 35u);
  EXPECT_EQ(status.pages_written_back, 36u);
  EXPECT_EQ(status.writeback_limit, 37u);
  EXPECT_EQ(status.writeback_limit_enable, 1u);
  EXPECT_EQ(status.disksize, 16u);
  EXPECT_EQ(status.disksize_max, 20u);
  EXPECT_EQ(status.slot_table_bytes, 17u);
  EXPECT_EQ(status.metadata_bytes, 18u);
  EXPECT_EQ(status.reserve_bytes, 19u);
}

TEST_F(Status, ABackingDeviceThatIsNotThereIsSaid) {
  options_.writeback_device = "/dev/sdb1";
  EXPECT_EQ(compose().backing_dev, "/dev/sdb1");
  EXPECT_EQ(compose().backing_error, "");
  backing_state_ = Error{ENOENT, "no such device"};
  EXPECT_EQ(compose().backing_error, "no such device");
  store_.writeback_limit = 0;
  EXPECT_EQ(compose().writeback_limit_enable, 1u);
  store_.writeback_limit.reset();
  EXPECT_EQ(compose().writeback_limit_enable, 0u);
}

TEST_F(Status, QueuesAreSummed) {
  const auto ticks = static_cast<std::uint64_t>(ticks_per_second() * 1e-3);  // 1 ms
  for (int i = 0; i < 98; ++i) first_.read_ticks.record(ticks);
  for (int i = 0; i < 2; ++i) second_.read_ticks.record(ticks * 100);
  second_.write_ticks.record(ticks);
  second_.discard_ticks.record(ticks * 10'000);
  first_.read_bytes = 4096;
  second_.read_bytes = 512;
  second_.write_bytes = 1024;
  second_.discard_bytes = 8192;
  first_.busy_ticks = ticks * 2;
  second_.busy_ticks = ticks;
  first_.invalid_requests = 3;
  second_.invalid_requests = 4;
  const auto status = compose();
  EXPECT_EQ(status.read.requests, 100u);
  EXPECT_EQ(status.read.bytes, 4608u);
  EXPECT_EQ(status.write.requests, 1u);
  EXPECT_EQ(status.write.bytes, 1024u);
  EXPECT_EQ(status.discard.requests, 1u);
  EXPECT_EQ(status.discard.bytes, 8192u);
  EXPECT_EQ(status.invalid_io, 7u);
  // A histogram's bucket is at most an eighth wider than the sample.
  EXPECT_NEAR(static_cast<double>(status.read.p50_ns), 1e6, 0.13e6);
  EXPECT_NEAR(static_cast<double>(status.read.p90_ns), 1e6, 0.13e6);
  EXPECT_NEAR(static_cast<double>(status.read.p99_ns), 1e8, 0.13e8);
  EXPECT_NEAR(static_cast<double>(status.read.max_ns), 1e8, 0.13e8);
  EXPECT_NEAR(static_cast<double>(status.busy_ns), 3e6, 1e4);
  EXPECT_NEAR(static_cast<double>(status.read.total_ns), 98e6 + 2 * 1e8, 1e5);
}

TEST_F(Status, EveryRequestIsInOneBucketThatItsTimeDoesNotExceed) {
  const double tick_ns = 1e9 / ticks_per_second();
  std::uint64_t requests = 0;
  for (double time_ns = 100; time_ns < 1e11; time_ns *= 1.7) {
    first_.write_ticks.record(static_cast<std::uint64_t>(time_ns / tick_ns));
    ++requests;
    const control::LatencyStatus latency = compose().write;
    EXPECT_EQ(latency.requests, requests);
    EXPECT_EQ(std::accumulate(latency.buckets.begin(), latency.buckets.end(), std::uint64_t{0}),
              requests);
    // The largest is in the last bucket that has any, whose limit is at most an eighth too far.
    std::size_t last = latency.buckets.size();
    while (latency.buckets[last - 1] == 0) --last;
    if (last <= control::kLatencyLimits_ns.size()) {
      EXPECT_LE(time_ns, static_cast<double>(control::kLatencyLimits_ns[last - 1]) + tick_ns);
    }
    if (last >= 2) {
      EXPECT_GE(time_ns * 1.13 + tick_ns,
                static_cast<double>(control::kLatencyLimits_ns[last - 2]));
    }
  }
}

TEST_F(Status, TheDaemonsOwnMemoryIsWithoutPagesAndSlotTable) {
  store_.slot_table_bytes = 100;
  store_.mem_used_total = 1000;
  pss_bytes_ = 1500;
  EXPECT_EQ(compose().daemon_bytes, 400u);
  // Counters that ran ahead of the memory figure do not wrap round.
  pss_bytes_ = 1050;
  EXPECT_EQ(compose().daemon_bytes, 0u);
}

}  // namespace
}  // namespace pleat::daemon
