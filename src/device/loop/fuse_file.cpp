// SPDX-License-Identifier: MIT OR Apache-2.0
#include "device/loop/fuse_file.h"

#define FUSE_USE_VERSION 314

#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/heap.h"
#include "base/page.h"
#include "base/process.h"
#include "device/loop/fuse_connection.h"
#include "device/loop/fuse_mount.h"
#include "device/loop/serving_descriptors.h"
#include "device/request.h"

namespace pleat::device {
namespace {

constexpr fuse_ino_t kFileInode = 2;  // FUSE_ROOT_ID is 1
// Nothing but the server changes the file, and it never does: the kernel may keep what it knows.
constexpr double kAttributeSeconds = 1e9;

// A FUSE_WRITE message has its data behind these; the buffer begins so far before a page's end that
// the data is page-aligned.
constexpr std::size_t kMessageHeaderBytes = sizeof(fuse_in_header) + sizeof(fuse_write_in);
constexpr std::size_t kMessageBytes = kMessageHeaderBytes + FuseFile::kTransferBytes;
static_assert(kMessageHeaderBytes <= kPageSize);
static_assert(kMessageBytes >= FUSE_MIN_READ_BUFFER);

// Memory of one message, touched.
class MessageBuffer {
 public:
  static Result<MessageBuffer> allocate() {
    void* const bytes = mmap(nullptr, kMapBytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (bytes == MAP_FAILED) return errno_error("cannot allocate a message buffer");
    // MAP_POPULATE does not report a failure; this finds it now and not under memory pressure.
    std::memset(bytes, 0, kMapBytes);
    return MessageBuffer(static_cast<std::byte*>(bytes));
  }
  MessageBuffer(MessageBuffer&& other) noexcept : bytes_(std::exchange(other.bytes_, nullptr)) {}
  MessageBuffer& operator=(MessageBuffer&&) = delete;
  ~MessageBuffer() {
    if (bytes_ != nullptr) munmap(bytes_, kMapBytes);
  }

  std::byte* message() const noexcept { return data() - kMessageHeaderBytes; }
  std::byte* data() const noexcept { return bytes_ + kPageSize; }

 private:
  static constexpr std::size_t kMapBytes = kPageSize + FuseFile::kTransferBytes;
  explicit MessageBuffer(std::byte* bytes) : bytes_(bytes) {}
  std::byte* bytes_;
};

// The descriptor that the calling thread answers on: the kernel wants an answer on the one that the
// request was read from.
thread_local int reply_fd = -1;

ssize_t write_reply(int, iovec* parts, int count, void*) noexcept {
  for (;;) {
    const ssize_t written = writev(reply_fd, parts, count);
    if (written >= 0) return written;
    if (errno == EINTR) continue;
    // The kernel has given the request up (ENOENT), ended it with an error (ENOMEM, EFAULT) or lost
    // its connection: there is nobody to answer. libfuse would print a line, which has no place
    // here.
    ssize_t total = 0;
    for (int i = 0; i < count; ++i) total += static_cast<ssize_t>(parts[i].iov_len);
    return total;
  }
}

// libfuse wants this function; messages are read without it.
ssize_t read_message(int fd, void* message, std::size_t size, void*) noexcept {
  return ::read(fd, message, size);
}

void discard_log(fuse_log_level, const char*, va_list) noexcept {}

}  // namespace

struct FuseFile::Queue {
  RequestServer server;
  MessageBuffer buffer;
  std::thread thread;
  RequestCounter counter;
  std::uint64_t taken_ticks = 0;  // when the request that is served now was taken

  // Before the answer: a server that dies in between has counted a request that comes again, and
  // not missed one.
  void answered(Operation operation, std::size_t length, int error) noexcept {
    counter.answered(operation, length, error, taken_ticks);
  }

  static thread_local Queue* current;
};

thread_local FuseFile::Queue* FuseFile::Queue::current = nullptr;

// The operations of the file system. No lock, no allocation, no system call but the answer.
struct FuseFile::Operations {
  static FuseFile& file(fuse_req_t request) noexcept {
    return *static_cast<FuseFile*>(fuse_req_userdata(request));
  }

  static void init(void* user, fuse_conn_info* connection) noexcept {
    auto& self = *static_cast<FuseFile*>(user);
    connection->max_write = kTransferBytes;
    connection->want &=
        ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    self.async_direct_io_ = (connection->capable & FUSE_CAP_ASYNC_DIO) != 0;
    // Direct I/O counts as background: this many requests may be under way, as many as the queues
    // are asked to hold. The kernel's default is 12.
    const unsigned in_flight =
        std::clamp(static_cast<unsigned>(std::min<std::uint64_t>(
                       std::uint64_t{self.options_.queues} * self.options_.depth, 0xffff)),
                   4u, 0xffffu);
    connection->max_background = in_flight;
    connection->congestion_threshold = in_flight - in_flight / 4;
    self.initialised_ = true;
  }

  static struct stat attributes(const FuseFile& file, fuse_ino_t inode) noexcept {
    struct stat status {};
    status.st_ino = inode;
    status.st_blksize = kPageSize;
    if (inode == kFileInode) {
      status.st_mode = S_IFREG | 0600;
      status.st_nlink = 1;
      status.st_size = static_cast<off_t>(file.file_bytes_);
    } else {
      status.st_mode = S_IFDIR | 0700;
      status.st_nlink = 2;
    }
    return status;
  }

  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) noexcept {
    if (parent != FUSE_ROOT_ID || file(request).file_name_ != name) {
      fuse_reply_err(request, ENOENT);
      return;
    }
    fuse_entry_param entry{};
    entry.ino = kFileInode;
    entry.attr = attributes(file(request), kFileInode);
    entry.attr_timeout = kAttributeSeconds;
    entry.entry_timeout = kAttributeSeconds;
    fuse_reply_entry(request, &entry);
  }

  static void getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info*) noexcept {
    const struct stat status = attributes(file(request), inode);
    fuse_reply_attr(request, &status, kAttributeSeconds);
  }

  static void open(fuse_req_t request, fuse_ino_t inode, fuse_file_info* info) noexcept {
    if (inode != kFileInode) {
      fuse_reply_err(request, EISDIR);
      return;
    }
    info->direct_io = 1;
    fuse_reply_open(request, info);
  }

  static void read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                   fuse_file_info*) noexcept {
    Queue& queue = *Queue::current;
    // The answer goes where the data of a write would be: a read brings none.
    std::byte* const data = queue.buffer.data();
    const int result =
        size > kTransferBytes
            ? -EINVAL
            : queue.server.serve(Operation::kRead, static_cast<std::uint64_t>(offset), size, data);
    queue.answered(Operation::kRead, size, result);
    if (result == 0) {
      fuse_reply_buf(request, reinterpret_cast<const char*>(data), size);
    } else {
      fuse_reply_err(request, -result);
    }
  }

  static void write(fuse_req_t request, fuse_ino_t, const char* data, std::size_t size,
                    off_t offset, fuse_file_info*) noexcept {
    Queue& queue = *Queue::current;
    // serve() only reads what a write brings.
    auto* const bytes = reinterpret_cast<std::byte*>(const_cast<char*>(data));
    const int result =
        queue.server.serve(Operation::kWrite, static_cast<std::uint64_t>(offset), size, bytes);
    queue.answered(Operation::kWrite, size, result);
    if (result == 0) {
      fuse_reply_write(request, size);
    } else {
      fuse_reply_err(request, -result);
    }
  }

  static void fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
                        fuse_file_info*) noexcept {
    Queue& queue = *Queue::current;
    const bool zeroes = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
    // The loop driver sends a hole for a discard and also for a write-zeroes that may free blocks
    // (drivers/block/loop.c: do_req_filebacked), and what is read from a hole is zero. So a hole is
    // a write-zeroes, also at its edges; one of whole pages frees the same pages as a discard.
    const Operation operation = zeroes ? Operation::kWriteZeroes : Operation::kUnsupported;
    const auto bytes = static_cast<std::size_t>(length);
    const int result =
        queue.server.serve(operation, static_cast<std::uint64_t>(offset), bytes, nullptr);
    queue.answered(operation, bytes, result);
    fuse_reply_err(request, -result);
  }

  static void statfs(fuse_req_t request, fuse_ino_t) noexcept {
    struct statvfs status {};
    // The loop driver takes this for its discard granularity (drivers/block/loop.c).
    status.f_bsize = kPageSize;
    status.f_frsize = kPageSize;
    status.f_blocks = file(request).file_bytes_ / kPageSize;
    status.f_files = 1;
    status.f_namemax = NAME_MAX;
    fuse_reply_statfs(request, &status);
  }

  // There is no fsync and no flush: libfuse answers ENOSYS to the first of each, which the kernel
  // takes for success and does not ask again. A completed write is in the store.
  static fuse_lowlevel_ops table() noexcept {
    fuse_lowlevel_ops operations{};
    operations.init = init;
    operations.lookup = lookup;
    operations.getattr = getattr;
    operations.open = open;
    operations.read = read;
    operations.write = write;
    operations.fallocate = fallocate;
    operations.statfs = statfs;
    return operations;
  }
};

FuseFile::FuseFile(store::Store& store, std::string file_name, const TransportOptions& options,
                   LoopConnection connection)
    : file_name_(std::move(file_name)),
      file_bytes_(store.slots_max() * kPageSize),
      options_(options),
      connection_(std::move(connection)) {}

Result<std::unique_ptr<FuseFile>> FuseFile::create(store::Store& store,
                                                   const std::string& file_name,
                                                   const TransportOptions& options,
                                                   LoopConnection connection) {
  std::unique_ptr<FuseFile> file(new FuseFile(store, file_name, options, std::move(connection)));
  if (auto connected = file->connect(); !connected) return std::move(connected).error();
  if (auto opened = file->open_session(); !opened) return std::move(opened).error();
  if (auto answered = file->answer_init(); !answered) return std::move(answered).error();
  if (auto started = file->start_queues(store); !started) return std::move(started).error();
  file->connection_.clear();
  return file;
}

Result<std::unique_ptr<FuseFile>> FuseFile::stand_by(store::Store& store,
                                                     const std::string& file_name,
                                                     const TransportOptions& options,
                                                     LoopConnection connection) {
  std::unique_ptr<FuseFile> file(new FuseFile(store, file_name, options, std::move(connection)));
  file->phase_ = kWaits;
  if (auto opened = file->open_session(); !opened) return std::move(opened).error();
  if (auto repeated = file->repeat_init(); !repeated) return std::move(repeated).error();
  if (auto started = file->start_queues(store); !started) return std::move(started).error();
  file->connection_.resize(1);  // which take_over() uses
  return file;
}

FuseFile::~FuseFile() {
  // A failure leaves threads that still serve: they are in read() and touch nothing of this object
  // before the process ends.
  if (!stop()) {
    for (auto& queue : queues_) {
      if (queue->thread.joinable()) queue->thread.detach();
      static_cast<void>(queue.release());
    }
    return;
  }
  if (session_ != nullptr) fuse_session_destroy(session_);
}

// Makes the connection, of a descriptor a queue.
Result<void> FuseFile::connect() {
  const bool is_shared = !connection_.empty();
  while (connection_.size() < options_.queues) {
    auto device = open_fuse_device();
    if (!device) return std::move(device).error();
    connection_.push_back(std::move(*device));
  }
  const int first = connection_[0].get();
  auto mount = mount_fuse(first);
  if (!mount) return std::move(mount).error();
  root_ = std::move(mount->root);
  abort_ = std::move(mount->abort);
  for (std::size_t i = 1; i < connection_.size(); ++i) {
    auto joined = join_fuse_connection(connection_[i].get(), first);
    if (joined) continue;
    // Who shares the descriptors has no copy in the place of one that is not of this connection.
    if (is_shared) return joined;
    cloned_ = false;
    connection_[i].reset(fcntl(first, F_DUPFD_CLOEXEC, 0));
    if (!connection_[i]) return errno_error("cannot copy a FUSE descriptor");
  }
  return {};
}

Result<void> FuseFile::open_session() {
  ended_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ended_) return errno_error("cannot make an eventfd");
  fuse_set_log_func(discard_log);
  char program[] = "pleat";
  char* arguments[] = {program, nullptr};
  fuse_args args{1, arguments, 0};
  const fuse_lowlevel_ops operations = Operations::table();
  session_ = fuse_session_new(&args, &operations, sizeof(operations), this);
  // Which has put a copy of its own in the place of ours.
  fuse_opt_free_args(&args);
  if (session_ == nullptr) return Error{ENOMEM, "cannot make a FUSE session"};
  fuse_custom_io io{};
  io.writev = write_reply;
  io.read = read_message;
  // libfuse closes the descriptor it is given. It gets one that stands for nothing, since the
  // connection's are the threads'; write_reply() does not use it.
  UniqueFd none(fcntl(ended_.get(), F_DUPFD_CLOEXEC, 0));
  if (!none || fuse_session_custom_io(session_, &io, none.get()) != 0) {
    return Error{EINVAL, "libfuse refuses the connection"};
  }
  none.release();
  return {};
}

// The first message is answered here and not by a serving thread, so that a failure is seen before
// anything waits for the file system.
Result<void> FuseFile::answer_init() {
  alignas(8) std::byte message[FUSE_MIN_READ_BUFFER];
  const auto size = read_fuse_init(connection_[0].get(), message);
  if (!size) return size.error();
  if (options_.fuse_init != nullptr) {
    std::memcpy(options_.fuse_init, message, std::min(*size, kFuseInitBytes));
  }
  return process_init({message, *size}, connection_[0].get());
}

// What libfuse has to know of the connection it learns from the message that the first server got.
Result<void> FuseFile::repeat_init() {
  alignas(8) std::byte message[kFuseInitBytes];
  std::memcpy(message, options_.fuse_init, kFuseInitBytes);
  fuse_in_header header{};
  std::memcpy(&header, message, sizeof(header));
  return process_init({message, std::min<std::size_t>(header.len, kFuseInitBytes)}, -1);
}

Result<void> FuseFile::process_init(std::span<std::byte> message, int reply) {
  fuse_buf buffer{};
  buffer.size = message.size();
  buffer.mem = message.data();
  reply_fd = reply;
  fuse_session_process_buf(session_, &buffer);
  reply_fd = -1;
  if (!initialised_ || fuse_session_exited(session_)) {
    return Error{EPROTO, "this kernel's FUSE protocol is too old"};
  }
  return {};
}

Result<void> FuseFile::start_queues(store::Store& store) {
  for (unsigned i = 0; i < options_.queues; ++i) {
    auto server = RequestServer::open(store);
    if (!server) return std::move(server).error();
    auto buffer = MessageBuffer::allocate();
    if (!buffer) return std::move(buffer).error();
    queues_.emplace_back(
        new Queue{std::move(server).value(), std::move(buffer).value(), std::thread(),
                  RequestCounter(options_.stats == nullptr ? nullptr : &options_.stats[i])});
  }

  // Serving threads take no signal: those are for the thread that ends the program.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  // Pages that are written back are read by the threads that serve.
  const int backing = store.backing_descriptor();
  Result<void> result;
  for (unsigned i = 0; i < options_.queues && result; ++i) {
    std::promise<Result<void>> prepared;
    std::future<Result<void>> outcome = prepared.get_future();
    Queue& queue = *queues_[i];
    // There are fewer where the first server could not clone.
    const int connection = connection_[i % connection_.size()].get();
    queue.thread = std::thread(
        [this, i, connection, backing, &queue, prepared = std::move(prepared)]() mutable {
          Result<void> ready = prepare_thread(connection, backing, i);
          const bool serving = ready.has_value();
          prepared.set_value(std::move(ready));
          if (!serving) return;
          phase_.wait(kWaits);
          if (phase_ == kServes) serve(queue, connection);
        });
    result = outcome.get();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

Result<void> FuseFile::prepare_thread(int connection, int backing, unsigned index) const {
  pthread_setname_np(pthread_self(), ("pleat-loop/" + std::to_string(index)).c_str());
  if (auto taken = take_serving_descriptors({connection, ended_.get(), backing}); !taken) {
    return taken;
  }
  fill_thread_heap();
  touch_stack();
  return options_.io_flusher ? set_io_flusher() : Result<void>();
}

void FuseFile::serve(Queue& queue, int connection) noexcept {
  Queue::current = &queue;
  reply_fd = connection;
  fuse_buf message{};
  message.mem = queue.buffer.message();
  for (;;) {
    const ssize_t size = ::read(connection, message.mem, kMessageBytes);
    if (size < 0) {
      // ENOENT: the request was interrupted before it got here (Documentation/filesystems/fuse).
      if (errno == EINTR || errno == EAGAIN || errno == ENOENT) continue;
      break;  // ENODEV: the connection has ended
    }
    queue.taken_ticks = ticks_now();
    message.size = static_cast<std::size_t>(size);
    fuse_session_process_buf(session_, &message);
  }
  if (!stopping_.load()) eventfd_write(ended_.get(), 1);
}

Result<UniqueFd> FuseFile::open_file() {
  UniqueFd file(openat(root_.get(), file_name_.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  if (!file) return errno_error("cannot open the FUSE file");
  root_.reset();
  return file;
}

int FuseFile::take_over() noexcept {
  // Before anybody reads: a request that came since would be queued again too.
  const int error = resend_requests(connection_[0].get());
  if (error != 0) return error;
  phase_ = kServes;
  phase_.notify_all();
  connection_.clear();
  return 0;
}

Result<void> FuseFile::stop() {
  stopping_.store(true);
  int waits = kWaits;
  if (phase_.compare_exchange_strong(waits, kEnds)) phase_.notify_all();
  // Writing to a connection that is gone already has no effect (fs/fuse/control.c).
  if (abort_ && ::write(abort_.get(), "1", 1) != 1) {
    return errno_error("cannot end the FUSE connection");
  }
  for (const auto& queue : queues_) {
    if (queue->thread.joinable()) queue->thread.join();
  }
  root_.reset();
  return {};
}

std::vector<const QueueStats*> FuseFile::queue_stats() const {
  std::vector<const QueueStats*> stats;
  for (const auto& queue : queues_) stats.push_back(&queue->counter.stats());
  return stats;
}

}  // namespace pleat::device
