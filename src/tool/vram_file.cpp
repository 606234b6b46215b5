// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/vram_file.h"

#define FUSE_USE_VERSION 314

#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <limits.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/page.h"

namespace pleat::tool {
namespace {

constexpr std::size_t kTransferBytes = gpu::GpuMemory::kTransferBytes;
constexpr fuse_ino_t kVramInode = 2;  // FUSE_ROOT_ID is 1
// Nobody changes what files there are, or how large: the kernel may keep what it knows.
constexpr double kVramAttributeSeconds = 1e9;
// Requests that are served one after the other before signals are looked at. More than the kernel
// has waiting for an idle file, so that whoever has closed it is no longer counted.
constexpr int kRequestsInARow = 256;

// Where a FUSE_WRITE message has its data.
constexpr std::size_t kHeaderBytes = sizeof(fuse_in_header) + sizeof(fuse_write_in);
constexpr std::size_t kVramMessageBytes = kHeaderBytes + kTransferBytes;
static_assert(kHeaderBytes <= kPageSize);
static_assert(kVramMessageBytes >= FUSE_MIN_READ_BUFFER);

ssize_t write_answer(int device, iovec* parts, int count, void*) noexcept {
  for (;;) {
    const ssize_t written = writev(device, parts, count);
    if (written >= 0) return written;
    if (errno == EINTR) continue;
    // Whatever the reason, there is nobody to answer. libfuse prints a line for any other one.
    errno = ENOENT;
    return -1;
  }
}

// libfuse wants this function; messages are read without it.
ssize_t read_request(int device, void* message, std::size_t size, void*) noexcept {
  return ::read(device, message, size);
}

void discard_lines(fuse_log_level, const char*, va_list) noexcept {}

Result<UniqueFd> open_fuse() {
  UniqueFd device(open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (device) return device;
  const int code = errno;
  Error error = errno_error(code, "cannot open /dev/fuse");
  if (code == ENOENT || code == ENODEV || code == ENXIO) {
    error.message += "; load the module (modprobe fuse)";
  } else if (code == EACCES || code == EPERM) {
    error.message += "; run as root";
  }
  return error;
}

}  // namespace

// One message, touched. Its data begin at a page.
class VramFile::MessageBuffer {
 public:
  static Result<std::unique_ptr<MessageBuffer>> allocate() {
    void* const bytes = mmap(nullptr, kMapBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (bytes == MAP_FAILED) return errno_error("cannot allocate a message buffer");
    // MAP_POPULATE does not report a failure; this finds it now and not under memory pressure.
    std::memset(bytes, 0, kMapBytes);
    return std::unique_ptr<MessageBuffer>(new MessageBuffer(static_cast<std::byte*>(bytes)));
  }
  ~MessageBuffer() { munmap(bytes_, kMapBytes); }
  MessageBuffer(const MessageBuffer&) = delete;
  MessageBuffer& operator=(const MessageBuffer&) = delete;

  std::byte* message() const noexcept { return data() - kHeaderBytes; }
  std::byte* data() const noexcept { return bytes_ + kPageSize; }

 private:
  static constexpr std::size_t kMapBytes = kPageSize + kTransferBytes;
  explicit MessageBuffer(std::byte* bytes) : bytes_(bytes) {}
  std::byte* bytes_;
};

struct VramFile::Operations {
  static VramFile& file(fuse_req_t request) noexcept {
    return *static_cast<VramFile*>(fuse_req_userdata(request));
  }

  static void init(void* user, fuse_conn_info* connection) noexcept {
    connection->max_write = kTransferBytes;
    // Messages are read into memory; and to open the file to truncate it is to change its size.
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                                               FUSE_CAP_SPLICE_MOVE | FUSE_CAP_ATOMIC_O_TRUNC);
    static_cast<VramFile*>(user)->initialised_ = true;
  }

  static struct stat attributes(const VramFile& file, fuse_ino_t inode) noexcept {
    struct stat status {};
    status.st_ino = inode;
    status.st_blksize = kPageSize;
    status.st_uid = geteuid();
    status.st_gid = getegid();
    if (inode == kVramInode) {
      status.st_mode = S_IFREG | 0600;
      status.st_nlink = 1;
      status.st_size = static_cast<off_t>(file.memory_.bytes());
      status.st_blocks = status.st_size / 512;  // stat(2)'s unit
    } else {
      status.st_mode = S_IFDIR | 0700;
      status.st_nlink = 2;
    }
    return status;
  }

  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) noexcept {
    if (parent != FUSE_ROOT_ID || std::string_view(name) != kName) {
      fuse_reply_err(request, ENOENT);
      return;
    }
    fuse_entry_param entry{};
    entry.ino = kVramInode;
    entry.attr = attributes(file(request), kVramInode);
    entry.attr_timeout = kVramAttributeSeconds;
    entry.entry_timeout = kVramAttributeSeconds;
    fuse_reply_entry(request, &entry);
  }

  static void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) noexcept {
    const struct stat status = attributes(file(request), inode);
    fuse_reply_attr(request, &status, kVramAttributeSeconds);
  }

  // Size, mode, owner and times are what they are.
  static void setattr(fuse_req_t request, fuse_ino_t, struct stat*, int, fuse_file_info*) noexcept {
    fuse_reply_err(request, EPERM);
  }

  static void readdir(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset,
                      fuse_file_info*) noexcept {
    VramFile& self = file(request);
    constexpr std::pair<const char*, fuse_ino_t> kEntries[] = {
        {".", FUSE_ROOT_ID}, {"..", FUSE_ROOT_ID}, {kName, kVramInode}};
    auto* const answer = reinterpret_cast<char*>(self.buffer_->data());
    size = std::min(size, kTransferBytes);
    std::size_t used = 0;
    for (off_t next = offset; inode == FUSE_ROOT_ID && next < off_t{std::size(kEntries)}; ++next) {
      const auto& [name, entry] = kEntries[next];
      const struct stat status = attributes(self, entry);
      const std::size_t needs =
          fuse_add_direntry(request, answer + used, size - used, name, &status, next + 1);
      if (needs > size - used) break;
      used += needs;
    }
    fuse_reply_buf(request, answer, used);
  }

  static void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) noexcept {
    if (inode != kVramInode) {
      fuse_reply_err(request, EISDIR);
      return;
    }
    VramFile& self = file(request);
    info->direct_io = 1;
    // Who has given up waiting for this answer has nothing to close.
    if (fuse_reply_open(request, info) == 0) ++self.open_files_;
  }

  static void release(fuse_req_t request, fuse_ino_t, fuse_file_info*) noexcept {
    --file(request).open_files_;
    fuse_reply_err(request, 0);
  }

  static void read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                   fuse_file_info*) noexcept {
    VramFile& self = file(request);
    const auto at = static_cast<std::uint64_t>(offset);
    if (size > kTransferBytes) {
      fuse_reply_err(request, EINVAL);
      return;
    }
    const std::size_t there = self.bytes_at(at, size);
    // The answer goes where the data of a write would be: a read brings none.
    std::byte* const data = self.buffer_->data();
    if (const int error = self.memory_.read(at, data, there); error != 0) {
      fuse_reply_err(request, error);
      return;
    }
    fuse_reply_buf(request, reinterpret_cast<const char*>(data), there);
  }

  static void write(fuse_req_t request, fuse_ino_t, const char* data, std::size_t size,
                    off_t offset, fuse_file_info*) noexcept {
    VramFile& self = file(request);
    const auto at = static_cast<std::uint64_t>(offset);
    const std::size_t there = self.bytes_at(at, std::min(size, kTransferBytes));
    if (there == 0 && size != 0) {
      fuse_reply_err(request, ENOSPC);
      return;
    }
    if (const int error = self.memory_.write(at, reinterpret_cast<const std::byte*>(data), there);
        error != 0) {
      fuse_reply_err(request, error);
      return;
    }
    fuse_reply_write(request, there);
  }

  static void statfs(fuse_req_t request, fuse_ino_t) noexcept {
    struct statvfs status {};
    status.f_bsize = kPageSize;
    status.f_frsize = kPageSize;
    status.f_blocks = file(request).memory_.bytes() / kPageSize;
    status.f_files = 1;
    status.f_namemax = NAME_MAX;
    fuse_reply_statfs(request, &status);
  }

  // There is no fsync, flush or fallocate: libfuse answers ENOSYS to the first of each. The kernel
  // takes it for success of the first two, since a completed write is in the GPU's memory, and says
  // EOPNOTSUPP of the last. flock() is the kernel's own.
  static fuse_lowlevel_ops table() noexcept {
    fuse_lowlevel_ops operations{};
    operations.init = init;
    operations.lookup = lookup;
    operations.getattr = getattr;
    operations.setattr = setattr;
    operations.readdir = readdir;
    operations.open = open;
    operations.release = release;
    operations.read = read;
    operations.write = write;
    operations.statfs = statfs;
    return operations;
  }
};

std::size_t VramFile::bytes_at(std::uint64_t offset, std::size_t size) const noexcept {
  if (offset >= memory_.bytes()) return 0;
  return static_cast<std::size_t>(std::min<std::uint64_t>(size, memory_.bytes() - offset));
}

Result<void> VramFile::check(const std::string& directory) {
  struct statx status {};
  // A server that is dead is seen where the kernel asks it.
  if (statx(AT_FDCWD, directory.c_str(), AT_STATX_FORCE_SYNC, STATX_TYPE, &status) != 0) {
    const int code = errno;
    Error error = errno_error(code, "cannot use " + directory);
    if (code == ENOENT) error.message += "; make it first";
    // What is left of a file system whose server was killed.
    if (code == ENOTCONN) error.message += "; umount it, with -l while a device uses it";
    return error;
  }
  if (!S_ISDIR(status.stx_mode)) return Error{ENOTDIR, directory + " is not a directory"};
  if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
    return Error{EBUSY, directory + " is a mount already; choose another directory"};
  }
  std::error_code code;
  const bool is_empty = std::filesystem::is_empty(directory, code);
  if (code) return errno_error(code.value(), "cannot look into " + directory);
  if (!is_empty) return Error{ENOTEMPTY, directory + " is not empty; choose another directory"};
  if (auto device = open_fuse(); !device) return std::move(device).error();
  return {};
}

VramFile::VramFile(gpu::GpuMemory& memory, std::unique_ptr<MessageBuffer> buffer)
    : memory_(memory), buffer_(std::move(buffer)) {}

Result<std::unique_ptr<VramFile>> VramFile::mount(gpu::GpuMemory& memory,
                                                  const std::string& directory) {
  auto buffer = MessageBuffer::allocate();
  if (!buffer) return std::move(buffer).error();
  std::unique_ptr<VramFile> file(new VramFile(memory, *std::move(buffer)));
  if (auto opened = file->open_session(); !opened) return std::move(opened).error();
  if (auto connected = file->connect(directory); !connected) return std::move(connected).error();
  return file;
}

VramFile::~VramFile() {
  if (!directory_.empty()) umount2(directory_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  if (session_ != nullptr) fuse_session_destroy(session_);
}

Result<void> VramFile::open_session() {
  auto device = open_fuse();
  if (!device) return std::move(device).error();
  device_ = *std::move(device);
  fuse_set_log_func(discard_lines);
  char program[] = "pleat";
  char* arguments[] = {program, nullptr};
  fuse_args args{1, arguments, 0};
  const fuse_lowlevel_ops operations = Operations::table();
  session_ = fuse_session_new(&args, &operations, sizeof(operations), this);
  // Which has put a copy of its own in the place of ours.
  fuse_opt_free_args(&args);
  if (session_ == nullptr) return Error{ENOMEM, "cannot make a FUSE session"};
  fuse_custom_io io{};
  io.writev = write_answer;
  io.read = read_request;
  // libfuse closes the descriptor that it is given.
  UniqueFd copy(fcntl(device_.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy || fuse_session_custom_io(session_, &io, copy.get()) != 0) {
    return Error{EINVAL, "libfuse refuses the connection"};
  }
  copy.release();
  return {};
}

Result<void> VramFile::connect(const std::string& directory) {
  std::error_code code;
  const std::string path = std::filesystem::canonical(directory, code);
  if (code) return errno_error(code.value(), "cannot use " + directory);
  const std::string options = "fd=" + std::to_string(device_.get()) +
                              ",rootmode=40000,user_id=" + std::to_string(geteuid()) +
                              ",group_id=" + std::to_string(getegid()) +
                              ",max_read=" + std::to_string(kTransferBytes);
  if (::mount("pleat", path.c_str(), "fuse.pleat", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              options.c_str()) != 0) {
    const int error = errno;
    Error failed = errno_error(error, "cannot mount a FUSE file system on " + path);
    if (error == EPERM) failed.message += "; run as root (needs CAP_SYS_ADMIN)";
    if (error == ENODEV) failed.message += "; load the module (modprobe fuse)";
    return failed;
  }
  directory_ = path;
  // The kernel's first message, which mount() has sent.
  if (!serve_waiting() || !initialised_) {
    return Error{EPROTO, "this kernel's FUSE protocol is too old"};
  }
  return {};
}

bool VramFile::serve_waiting() {
  fuse_buf message{};
  message.mem = buffer_->message();
  for (int served = 0; served < kRequestsInARow;) {
    const ssize_t size = ::read(device_.get(), message.mem, kVramMessageBytes);
    if (size >= 0) {
      message.size = static_cast<std::size_t>(size);
      fuse_session_process_buf(session_, &message);
      if (fuse_session_exited(session_)) return false;
      ++served;
    } else if (errno == EAGAIN) {
      return true;
    } else if (errno != EINTR && errno != ENOENT) {
      // ENOENT: the request was given up before it got here. ENODEV: unmounted, and closed by all.
      return false;
    }
  }
  return true;
}

bool VramFile::serve_until(int wake) {
  for (;;) {
    pollfd ready[] = {{device_.get(), POLLIN, 0}, {wake, POLLIN, 0}};
    if (poll(ready, std::size(ready), -1) < 0) continue;  // EINTR
    // Requests first: the last user's farewell may be one.
    if (ready[0].revents != 0 && !serve_waiting()) return false;
    if (ready[1].revents != 0) return true;
  }
}

bool VramFile::unmount() {
  // Other mount namespaces may have copies of the mount, of whose users umount2() knows nothing.
  if (open_files_ != 0) return false;
  if (umount2(directory_.c_str(), UMOUNT_NOFOLLOW) != 0 && errno == EBUSY) return false;
  // Where it failed otherwise somebody else has unmounted it.
  directory_.clear();
  return true;
}

}  // namespace pleat::tool
