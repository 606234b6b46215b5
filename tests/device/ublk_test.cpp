// SPDX-License-Identifier: MIT OR Apache-2.0
// What of the ublk transport can be tested without the driver. The rest is in
// ublk_device_test, which runs in guests.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/ublk_cmd.h>
#include <unistd.h>

#include <cstddef>

#include "base/unique_fd.h"
#include "device/transport.h"
#include "device/ublk/abi.h"
#include "device/ublk/command_ring.h"
#include "device/ublk/ownership.h"
#include "device/ublk/ublk_leftovers.h"

namespace pleat::device {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

bool has_driver() { return access("/dev/ublk-control", F_OK) == 0; }

// The system's header is of Linux 6.1 or later, so what both declare must agree.
TEST(UblkAbi, AgreesWithTheKernelsHeader) {
  EXPECT_EQ(sizeof(ublk::ControlCommand), sizeof(ublksrv_ctrl_cmd));
  EXPECT_EQ(offsetof(ublk::ControlCommand, len), offsetof(ublksrv_ctrl_cmd, len));
  EXPECT_EQ(offsetof(ublk::ControlCommand, addr), offsetof(ublksrv_ctrl_cmd, addr));
  EXPECT_EQ(offsetof(ublk::ControlCommand, data), offsetof(ublksrv_ctrl_cmd, data));
  EXPECT_EQ(sizeof(ublk::DeviceInfo), sizeof(ublksrv_ctrl_dev_info));
  EXPECT_EQ(offsetof(ublk::DeviceInfo, state), offsetof(ublksrv_ctrl_dev_info, state));
  EXPECT_EQ(offsetof(ublk::DeviceInfo, dev_id), offsetof(ublksrv_ctrl_dev_info, dev_id));
  EXPECT_EQ(offsetof(ublk::DeviceInfo, ublksrv_pid), offsetof(ublksrv_ctrl_dev_info, ublksrv_pid));
  EXPECT_EQ(offsetof(ublk::DeviceInfo, flags), offsetof(ublksrv_ctrl_dev_info, flags));
  EXPECT_EQ(offsetof(ublk::DeviceInfo, ublksrv_flags),
            offsetof(ublksrv_ctrl_dev_info, ublksrv_flags));
  EXPECT_EQ(sizeof(ublk::IoDescriptor), sizeof(ublksrv_io_desc));
  EXPECT_EQ(offsetof(ublk::IoDescriptor, nr_sectors), offsetof(ublksrv_io_desc, nr_sectors));
  EXPECT_EQ(offsetof(ublk::IoDescriptor, start_sector), offsetof(ublksrv_io_desc, start_sector));
  EXPECT_EQ(sizeof(ublk::IoRequest), sizeof(ublksrv_io_cmd));
  EXPECT_EQ(offsetof(ublk::IoRequest, result), offsetof(ublksrv_io_cmd, result));
  EXPECT_EQ(offsetof(ublk::IoRequest, addr), offsetof(ublksrv_io_cmd, addr));
  EXPECT_EQ(sizeof(ublk::BasicParams), sizeof(ublk_param_basic));
  EXPECT_EQ(offsetof(ublk::BasicParams, io_opt_shift), offsetof(ublk_param_basic, io_opt_shift));
  EXPECT_EQ(offsetof(ublk::BasicParams, dev_sectors), offsetof(ublk_param_basic, dev_sectors));
  EXPECT_EQ(sizeof(ublk::DiscardParams), sizeof(ublk_param_discard));
  EXPECT_EQ(offsetof(ublk::DiscardParams, max_write_zeroes_sectors),
            offsetof(ublk_param_discard, max_write_zeroes_sectors));
  EXPECT_EQ(offsetof(ublk::Params, discard), offsetof(ublk_params, discard));
  EXPECT_EQ(ublk::kQueueDepthMax, unsigned{UBLK_MAX_QUEUE_DEPTH});
  EXPECT_EQ(ublk::kIoResultAbort, UBLK_IO_RES_ABORT);
  EXPECT_EQ(int{ublk::kOpDiscard}, UBLK_IO_OP_DISCARD);
  EXPECT_EQ(int{ublk::kOpWriteZeroes}, UBLK_IO_OP_WRITE_ZEROES);
}

TEST(UblkAbi, LegacyOpcodesAreTheBareNumbers) {
  using ublk::Command, ublk::Encoding, ublk::IoCommand, ublk::opcode;
  EXPECT_EQ(opcode(Command::kAddDev, Encoding::kLegacy), std::uint32_t{UBLK_CMD_ADD_DEV});
  EXPECT_EQ(opcode(Command::kStopDev, Encoding::kLegacy), std::uint32_t{UBLK_CMD_STOP_DEV});
  EXPECT_EQ(opcode(Command::kSetParams, Encoding::kLegacy), std::uint32_t{UBLK_CMD_SET_PARAMS});
  EXPECT_EQ(opcode(IoCommand::kFetch, Encoding::kLegacy), std::uint32_t{UBLK_IO_FETCH_REQ});
  EXPECT_EQ(opcode(IoCommand::kCommitAndFetch, Encoding::kLegacy),
            std::uint32_t{UBLK_IO_COMMIT_AND_FETCH_REQ});
}

// Written out from _IOR and _IOWR of include/uapi/asm-generic/ioctl.h: direction in bits 30-31,
// size in 16-29, 'u' in 8-15, number in 0-7.
TEST(UblkAbi, IoctlOpcodesHaveDirectionSizeTypeAndNumber) {
  using ublk::Command, ublk::Encoding, ublk::IoCommand, ublk::opcode;
  EXPECT_EQ(opcode(Command::kGetFeatures, Encoding::kIoctl), 0x80207513u);
  EXPECT_EQ(opcode(Command::kGetDevInfo, Encoding::kIoctl), 0x80207502u);
  EXPECT_EQ(opcode(Command::kDelDevAsync, Encoding::kIoctl), 0x80207514u);
  EXPECT_EQ(opcode(Command::kAddDev, Encoding::kIoctl), 0xc0207504u);
  EXPECT_EQ(opcode(Command::kDelDev, Encoding::kIoctl), 0xc0207505u);
  EXPECT_EQ(opcode(IoCommand::kFetch, Encoding::kIoctl), 0xc0107520u);
  EXPECT_EQ(opcode(IoCommand::kCommitAndFetch, Encoding::kIoctl), 0xc0107521u);
}

TEST(UblkAbi, OffsetsInTheCharDeviceDoNotOverlap) {
  // 4096 descriptors of 24 bytes are 24 pages of 4096 bytes.
  EXPECT_EQ(ublk::descriptor_offset(0, 4096), 0u);
  EXPECT_EQ(ublk::descriptor_offset(3, 4096), 3u * 98304u);
  // With pages of 64 KiB the same bytes are rounded up to two of them.
  EXPECT_EQ(ublk::descriptor_offset(1, 65536), 131072u);
  EXPECT_EQ(ublk::data_offset(0, 0), 0x80000000u);
  EXPECT_EQ(ublk::data_offset(0, 1), 0x80000000u + ublk::kUserCopyBytesMax);
  EXPECT_EQ(ublk::data_offset(1, 0),
            ublk::data_offset(0, 65535) + std::uint64_t{ublk::kUserCopyBytesMax});
}

TEST(UblkOwnership, TellsOursFromOthersAndWhose) {
  EXPECT_TRUE(ublk::is_ours(ublk::ownership(4194304)));
  EXPECT_EQ(ublk::owner(ublk::ownership(4194304)), 4194304);
  EXPECT_FALSE(ublk::is_ours(0));
  EXPECT_FALSE(ublk::is_ours(ublk::ownership(1) ^ (std::uint64_t{1} << 40)));
}

// A file that takes no commands answers, so the ring itself works on this machine; one whose
// descriptor is closed answers too.
TEST(UblkCommandRing, ReportsTheAnswerOfAFileWithoutCommands) {
  const UniqueFd file(open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
  auto ring = ublk::CommandRing::open(file.get());
  ASSERT_TRUE(ring) << ring.error().message;
  EXPECT_EQ(ring->run(1, {}, {}, 5000), -EOPNOTSUPP);
  EXPECT_EQ(ring->run(2, {}, {}, 5000), -EOPNOTSUPP);
  std::byte payload[ublk::CommandRing::kPayloadBytesMax + 1];
  EXPECT_EQ(ring->run(1, {}, payload, 5000), -EINVAL);
}

TEST(UblkProbe, SaysWhatToDoWhereThereIsNoDriver) {
  const auto result = probe_ublk();
  if (result) {
    EXPECT_TRUE(has_driver());
    return;
  }
  EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
  if (has_driver()) {
    EXPECT_THAT(result.error().message, AnyOf(HasSubstr("root"), HasSubstr("io_uring")));
  } else {
    EXPECT_THAT(result.error().message, HasSubstr("modprobe ublk_drv"));
    EXPECT_THAT(result.error().message, HasSubstr("loop"));
  }
}

TEST(UblkLeftovers, NothingToRemoveWithoutANumber) {
  EXPECT_TRUE(remove_ublk_leftovers(TransportInfo{}));
}

TEST(UblkLeftovers, WithoutADriverTheErrorNamesTheDevice) {
  if (has_driver()) GTEST_SKIP() << "this machine has ublk; ublk_device_test covers it";
  TransportInfo info;
  info.id = 7;
  const auto result = remove_ublk_leftovers(info);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("ublk device 7"));
}

}  // namespace
}  // namespace pleat::device
