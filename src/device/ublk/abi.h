// SPDX-License-Identifier: MIT OR Apache-2.0
// The part of the kernel's ublk interface that we use.
//
// Source: include/uapi/linux/ublk_cmd.h and drivers/block/ublk_drv.c of Linux. Declared here
// because the headers of Debian 12 are those of Linux 6.1, the first version with an interface that
// stayed, and lack everything later. Names are the kernel's without their prefixes; the version
// behind a name is the first that has it.
#pragma once

#include <linux/ioctl.h>

#include <cstddef>
#include <cstdint>

namespace pleat::device::ublk {

// Commands to /dev/ublk-control, sent as IORING_OP_URING_CMD in an SQE of 128 bytes.
enum class Command : std::uint8_t {
  kGetQueueAffinity = 0x01,
  kGetDevInfo = 0x02,
  kAddDev = 0x04,
  kDelDev = 0x05,
  kStartDev = 0x06,
  kStopDev = 0x07,
  kSetParams = 0x08,
  kGetParams = 0x09,
  kStartUserRecovery = 0x10,
  kEndUserRecovery = 0x11,
  kGetFeatures = 0x13,  // 6.5
  kDelDevAsync = 0x14,  // 6.9
  kUpdateSize = 0x15,   // 6.16
};

// Commands to /dev/ublkcN, each about one tag of one queue.
enum class IoCommand : std::uint8_t {
  kFetch = 0x20,           // waits for the tag's first request
  kCommitAndFetch = 0x21,  // completes the tag's request and waits for its next
};

// What a command's completion says: a request has come, or the queue ends and the command is not to
// be sent again.
inline constexpr int kIoResultOk = 0;
inline constexpr int kIoResultAbort = -19;  // -ENODEV

// Device flags, in DeviceInfo::flags and in the answer to kGetFeatures.
inline constexpr std::uint64_t kFlagUserRecovery = 1u << 3;
inline constexpr std::uint64_t kFlagUserRecoveryReissue = 1u << 4;
inline constexpr std::uint64_t kFlagCmdIoctlEncode = 1u << 6;   // 6.4
inline constexpr std::uint64_t kFlagUserCopy = 1u << 7;         // 6.5
inline constexpr std::uint64_t kFlagUpdateSize = 1u << 10;      // 6.16
inline constexpr std::uint64_t kFlagNoAutoPartScan = 1u << 18;  // 7.1

// DeviceInfo::state. A device is kDead before it is started as well as after its server's death.
inline constexpr std::uint16_t kStateDead = 0;
inline constexpr std::uint16_t kStateLive = 1;

// struct ublksrv_ctrl_cmd, in the command area of the SQE.
struct ControlCommand {
  std::uint32_t dev_id;
  std::uint16_t queue_id;  // 0xffff, also for kGetQueueAffinity, whose queue is data[0]
  std::uint16_t len;       // bytes at addr
  std::uint64_t addr;      // what the command reads or writes
  std::uint64_t data[1];
  std::uint16_t dev_path_len;  // 6.3, for unprivileged devices only
  std::uint16_t pad;
  std::uint32_t reserved;
};
static_assert(sizeof(ControlCommand) == 32);
static_assert(offsetof(ControlCommand, addr) == 8);
static_assert(offsetof(ControlCommand, data) == 16);

// struct ublksrv_ctrl_dev_info, for kAddDev (the driver answers with what it granted) and
// kGetDevInfo.
struct DeviceInfo {
  std::uint16_t nr_hw_queues;  // the driver lowers it to the number of CPUs
  std::uint16_t queue_depth;   // at most kQueueDepthMax
  std::uint16_t state;
  std::uint16_t pad0;
  std::uint32_t max_io_buf_bytes;
  std::uint32_t dev_id;  // 0xffffffff asks for the first free one
  std::int32_t ublksrv_pid;
  std::uint32_t pad1;
  std::uint64_t flags;
  std::uint64_t ublksrv_flags;  // the server's own: kept and given back, never looked at
  std::uint32_t owner_uid;      // 6.3, reserved before
  std::uint32_t owner_gid;
  std::uint64_t reserved1;
  std::uint64_t reserved2;
};
static_assert(sizeof(DeviceInfo) == 64);
static_assert(offsetof(DeviceInfo, max_io_buf_bytes) == 8);
static_assert(offsetof(DeviceInfo, flags) == 24);
static_assert(offsetof(DeviceInfo, ublksrv_flags) == 32);

inline constexpr unsigned kQueueDepthMax = 4096;
inline constexpr std::uint32_t kAnyDevice = 0xffffffff;
inline constexpr std::uint16_t kNoQueue = 0xffff;

// struct ublk_params with its first two parts. The kernel's own has grown behind them, which `len`
// and `types` account for.
struct BasicParams {
  std::uint32_t attrs;
  std::uint8_t logical_bs_shift;
  std::uint8_t physical_bs_shift;
  std::uint8_t io_opt_shift;
  std::uint8_t io_min_shift;
  std::uint32_t max_sectors;  // at most max_io_buf_bytes / 512
  std::uint32_t chunk_sectors;
  std::uint64_t dev_sectors;
  std::uint64_t virt_boundary_mask;
};
struct DiscardParams {
  std::uint32_t discard_alignment;
  std::uint32_t discard_granularity;  // bytes
  std::uint32_t max_discard_sectors;
  std::uint32_t max_write_zeroes_sectors;
  std::uint16_t max_discard_segments;  // 1 is all that the driver takes
  std::uint16_t reserved0;
};
struct Params {
  std::uint32_t len;
  std::uint32_t types;
  BasicParams basic;
  DiscardParams discard;
};
static_assert(sizeof(BasicParams) == 32);
static_assert(sizeof(DiscardParams) == 20);
static_assert(offsetof(Params, basic) == 8);
static_assert(offsetof(Params, discard) == 40);
static_assert(sizeof(Params) == 64);

inline constexpr std::uint32_t kParamTypeBasic = 1u << 0;
inline constexpr std::uint32_t kParamTypeDiscard = 1u << 1;

// struct ublksrv_io_desc: one request, in the array that the driver fills for each queue and that a
// server maps from /dev/ublkcN.
struct IoDescriptor {
  std::uint32_t op_flags;    // operation in bits 0-7
  std::uint32_t nr_sectors;  // of 512 bytes
  std::uint64_t start_sector;
  std::uint64_t addr;  // where the server's buffer is
};
static_assert(sizeof(IoDescriptor) == 24);

// The operation of IoDescriptor::op_flags.
inline constexpr std::uint8_t kOpRead = 0;
inline constexpr std::uint8_t kOpWrite = 1;
inline constexpr std::uint8_t kOpFlush = 2;
inline constexpr std::uint8_t kOpDiscard = 3;
inline constexpr std::uint8_t kOpWriteZeroes = 5;

// struct ublksrv_io_cmd, in the command area of an ordinary SQE of 64 bytes.
struct IoRequest {
  std::uint16_t q_id;
  std::uint16_t tag;
  std::int32_t result;  // kCommitAndFetch: bytes, 0 for operations without data, or -errno
  std::uint64_t addr;   // the tag's buffer; 0 with kFlagUserCopy
};
static_assert(sizeof(IoRequest) == 16);

// Where queue `queue` has its descriptors in /dev/ublkcN, for mmap().
inline constexpr std::uint64_t descriptor_offset(unsigned queue, std::size_t page_bytes) {
  const std::size_t bytes = kQueueDepthMax * sizeof(IoDescriptor);
  return queue * ((bytes + page_bytes - 1) / page_bytes * page_bytes);
}

// Where the data of a request is in /dev/ublkcN, for pread() and pwrite() with kFlagUserCopy.
inline constexpr std::uint64_t data_offset(unsigned queue, unsigned tag) {
  constexpr std::uint64_t kIoBufferOffset = 0x80000000;
  constexpr unsigned kTagShift = 25;
  constexpr unsigned kQueueShift = kTagShift + 16;
  return kIoBufferOffset + (std::uint64_t{queue} << kQueueShift) +
         (std::uint64_t{tag} << kTagShift);
}
// A request's bytes have kTagShift bits of address, so this is the driver's own bound.
inline constexpr std::uint32_t kUserCopyBytesMax = 1u << 25;

// Opcodes. Linux 6.1 to 6.3 know the bare numbers only; later kernels take ioctl numbers, and the
// bare ones where CONFIG_BLKDEV_UBLK_LEGACY_OPCODES is on.
enum class Encoding : std::uint8_t { kLegacy, kIoctl };

inline constexpr std::uint32_t opcode(Command command, Encoding encoding) {
  const auto number = static_cast<std::uint32_t>(command);
  if (encoding == Encoding::kLegacy) return number;
  switch (command) {
    case Command::kGetQueueAffinity:
    case Command::kGetDevInfo:
    case Command::kGetParams:
    case Command::kGetFeatures:
    case Command::kDelDevAsync:
      return _IOC(_IOC_READ, 'u', number, sizeof(ControlCommand));
    default:
      return _IOC(_IOC_READ | _IOC_WRITE, 'u', number, sizeof(ControlCommand));
  }
}

inline constexpr std::uint32_t opcode(IoCommand command, Encoding encoding) {
  const auto number = static_cast<std::uint32_t>(command);
  if (encoding == Encoding::kLegacy) return number;
  return _IOC(_IOC_READ | _IOC_WRITE, 'u', number, sizeof(IoRequest));
}

}  // namespace pleat::device::ublk
