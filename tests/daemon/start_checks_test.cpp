// SPDX-License-Identifier: MIT OR Apache-2.0
// What is checked before anything is made.
#include <fcntl.h>
#include <gmock/gmock.h>

#include <cerrno>

#include "daemon/fake_roots.h"
#include "daemon/options_check.h"
#include "daemon/service.h"
#include "daemon/transport_choice.h"

namespace pleat::daemon {
namespace {

using testing::HasSubstr;

Options good() {
  Options options;
  options.name = "demo";
  options.size_bytes = 1 << 20;
  return options;
}

template <typename Change>
std::string refusal(Change change) {
  Options options = good();
  change(options);
  const auto checked = check_options(options);
  if (checked) return "accepted";
  EXPECT_EQ(checked.error().code, EINVAL);
  EXPECT_EQ(checked.error().message.find('\n'), std::string::npos);
  return checked.error().message;
}

TEST(Options, GoodOnesPass) { EXPECT_TRUE(check_options(good())); }

TEST(Options, EveryRefusalSaysWhatIsAllowed) {
  EXPECT_THAT(refusal([](Options& o) { o.name = ""; }), HasSubstr("use 1 to 32 letters"));
  EXPECT_THAT(refusal([](Options& o) { o.name = "../x"; }), HasSubstr("bad name \"../x\""));
  EXPECT_THAT(refusal([](Options& o) { o.name = "-x"; }), HasSubstr("bad name"));
  EXPECT_THAT(refusal([](Options& o) { o.size_bytes = 0; }),
              HasSubstr("bad size 0; use a positive"));
  EXPECT_THAT(refusal([](Options& o) { o.size_bytes = 4097; }), HasSubstr("multiple of 4096"));
  EXPECT_THAT(refusal([](Options& o) { o.size_bytes = kSizeBytesMax + 4096; }),
              HasSubstr("at most 16T"));
  EXPECT_THAT(refusal([](Options& o) { o.queues = kQueuesMax + 1; }), HasSubstr("use 1 to 64"));
  EXPECT_THAT(refusal([](Options& o) { o.depth = 0; }), HasSubstr("use 1 to 4096"));
  EXPECT_THAT(refusal([](Options& o) { o.depth = 4097; }), HasSubstr("bad queue depth 4097"));
  EXPECT_THAT(refusal([](Options& o) { o.block_bytes = 1024; }), HasSubstr("use 512 or 4096"));
}

TEST(Options, AReadyDescriptorMustBeOpenAndIsNotInherited) {
  Options options = good();
  options.ready_fd = 900;
  EXPECT_EQ(check_options(options).error().code, EBADF);
  options.ready_fd = dup(STDERR_FILENO);
  EXPECT_TRUE(check_options(options));
  EXPECT_EQ(fcntl(options.ready_fd, F_GETFD), FD_CLOEXEC);
  close(options.ready_fd);
}

TEST(Memory, ADeviceWhoseSlotTableDoesNotFitIsRefused) {
  FakeRoots fake;
  fake.file("proc/meminfo", "MemAvailable: 20480 kB\n");
  Options options = good();
  options.size_bytes = std::uint64_t{1} << 30;  // 2 MiB of slot words, 8 MiB of reserve
  EXPECT_TRUE(check_memory(options, fake.roots()));
  options.size_bytes = std::uint64_t{16} << 40;
  const auto checked = check_memory(options, fake.roots());
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ENOMEM);
  EXPECT_EQ(checked.error().message,
            "not enough memory: a device of 16T needs 32G from the start and 20M are available; "
            "choose a smaller --size");
}

Result<void> there() { return {}; }
Result<void> no_ublk() { return Error{ENODEV, "this kernel has no ublk driver; run: modprobe it"}; }
Result<void> no_loop() { return Error{EPERM, "cannot open /dev/loop-control; run as root"}; }

TEST(TransportChoice, AutoTakesUblkWhereThereIsOne) {
  const auto choice = choose_transport("auto", {there, there});
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->kind, device::TransportKind::kUblk);
  EXPECT_EQ(choice->reason, "ublk: this kernel has it");
}

TEST(TransportChoice, AutoSaysWhyItTakesLoop) {
  const auto choice = choose_transport("auto", {no_ublk, there});
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->kind, device::TransportKind::kLoop);
  EXPECT_EQ(choice->reason, "loop: this kernel has no ublk driver; costs more CPU a request");
}

// The reason is printed as it stands: nobody puts the transport's name in front of it again.
TEST(TransportChoice, EveryReasonNamesItsTransportOnceAndFirst) {
  for (const auto& choice :
       {choose_transport("auto", {there, there}), choose_transport("auto", {no_ublk, there}),
        choose_transport("ublk", {there, there}), choose_transport("loop", {there, there})}) {
    ASSERT_TRUE(choice);
    const std::string prefix = std::string(device::to_string(choice->kind)) + ": ";
    EXPECT_TRUE(choice->reason.starts_with(prefix)) << choice->reason;
    EXPECT_EQ(choice->reason.rfind(prefix), 0u) << choice->reason;
  }
}

TEST(TransportChoice, WithoutAnyBothCausesAreSaid) {
  const auto choice = choose_transport("auto", {no_ublk, no_loop});
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().message,
            "neither transport works: this kernel has no ublk driver, and "
            "cannot open /dev/loop-control; run as root");
}

TEST(TransportChoice, WhatIsAskedForIsNeverReplaced) {
  EXPECT_EQ(choose_transport("ublk", {no_ublk, there}).error().code, ENODEV);
  EXPECT_EQ(choose_transport("loop", {there, no_loop}).error().code, EPERM);
  EXPECT_EQ(choose_transport("loop", {there, there})->kind, device::TransportKind::kLoop);
  EXPECT_EQ(choose_transport("ublk", {there, there})->reason, "ublk: asked for");
  EXPECT_EQ(choose_transport("nbd", {there, there}).error().code, EINVAL);
}

}  // namespace
}  // namespace pleat::daemon
