// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/service.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/event.h"
#include "base/page.h"
#include "base/units.h"
#include "codec/kernels.h"
#include "control/batch_exchange.h"
#include "control/metrics.h"
#include "daemon/live_status.h"
#include "daemon/report.h"
#include "daemon/users.h"

namespace pleat::daemon {

namespace {

using Json = nlohmann::json;

// Programs that merely have the device open, udev above all, get this long to close it.
constexpr unsigned kOpenersPatienceMs = 1500;
// A slot word a page (store/store.h).
constexpr std::uint64_t kSlotBytes = 8;
// Recompression and writeback take minutes where there is much; so long they keep other requests
// waiting.
constexpr std::uint64_t kSliceNs = 250'000'000;

const char* name_of(store::WritebackEnd end) {
  switch (end) {
    case store::WritebackEnd::kDone:
      return "done";
    case store::WritebackEnd::kPaused:
      return "paused";
    case store::WritebackEnd::kLimit:
      return "limit";
    case store::WritebackEnd::kFull:
      return "full";
    case store::WritebackEnd::kFailed:
      break;
  }
  return "failed";
}

// A number that a request may have; 0 where it has none.
Result<std::uint64_t> number_in(const Json& request, const char* key) {
  const auto found = request.find(key);
  if (found == request.end()) return 0;
  if (found->is_number_unsigned()) return found->get<std::uint64_t>();
  return Error{EINVAL, std::string(key) + " must be a number, of at least 0"};
}

// Who compresses by batches, where the request says that its client does.
Result<std::optional<control::RemoteBatches>> batches_in(const Json& request,
                                                         std::span<const UniqueFd> files) {
  std::optional<control::RemoteBatches> batches;
  const auto found = request.find("batches");
  if (found == request.end()) return batches;
  const std::string name = found->is_object() ? found->value("codec", std::string()) : "";
  if ((name != "line" && name != "lz4") || files.size() != 2) {
    return Error{EINVAL,
                 "batches need a codec, line or lz4, a number of pages, and two descriptors: their "
                 "memory and a socket"};
  }
  const auto pages = number_in(*found, "pages");
  if (!pages) return pages.error();
  auto memory = control::BatchMemory::attach(
      files[0].get(),
      static_cast<std::uint32_t>(std::min<std::uint64_t>(*pages, control::kBatchPagesMax + 1)));
  if (!memory) return std::move(memory).error();
  batches.emplace(*std::move(memory), files[1].get(),
                  name == "line" ? codec::CodecId::kLine : codec::CodecId::kLz4);
  return batches;
}

}  // namespace

unsigned queues_of(const Options& options) {
  if (options.queues != 0) return options.queues;
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  return static_cast<unsigned>(std::clamp<long>(processors, 1, kQueuesByDefaultMax));
}

store::StoreOptions store_options_of(const Options& options, const codec::Kernels& kernels,
                                     bool io_flusher) {
  store::StoreOptions store_options;
  store_options.device_bytes = options.size_bytes;
  store_options.device_bytes_max =
      options.size_max_bytes != 0 ? options.size_max_bytes
                                  : std::min(options.size_bytes * kSizeMaxFactor, kSizeBytesMax);
  store_options.mem_limit_bytes = options.mem_limit_bytes;
  store_options.codec = options.algorithm;
  store_options.recompress = options.recompress;
  store_options.backing = options.writeback_device;
  store_options.backing_bytes = options.writeback_bytes;
  store_options.kernels = &kernels;
  // A queue has a second one for what waits for the backing device.
  store_options.sessions_max = options.queues * (options.writeback_device.empty() ? 1 : 2);
  store_options.lock_memory = true;
  store_options.io_flusher = io_flusher;
  return store_options;
}

namespace {

Result<std::unique_ptr<store::Store>> store_standing_by(const Service::Setup& setup,
                                                        const codec::Kernels& kernels) {
  auto memory = store::Memory::attach(setup.board->memory_id);
  if (!memory) return memory.error();
  return store::Store::stand_by(store_options_of(setup.options, kernels, setup.io_flusher),
                                *std::move(memory));
}

device::TransportOptions transport_options_of(const Service::Setup& setup) {
  device::TransportOptions transport_options;
  transport_options.name = setup.options.name;
  transport_options.id = setup.options.id;
  transport_options.queues = setup.options.queues;
  transport_options.depth = setup.options.depth;
  transport_options.block_bytes = setup.options.block_bytes;
  transport_options.io_flusher = setup.io_flusher;
  transport_options.owner = setup.state.guardian.pid;
  transport_options.stats = setup.board->queue_stats();
  transport_options.fuse_init = setup.board->fuse_init;
  return transport_options;
}

}  // namespace

Result<void> check_memory(const Options& options, const KernelRoots& roots) {
  const std::uint64_t needed_bytes = options.size_bytes / kPageSize * kSlotBytes +
                                     options.writeback_bytes / kPageSize +
                                     store::StoreOptions{}.reserve_bytes;
  const auto available_bytes = available_memory_bytes(roots);
  if (!available_bytes || needed_bytes <= *available_bytes) return {};
  return Error{ENOMEM, "not enough memory: a device of " + format_size(options.size_bytes) +
                           " needs " + format_size(needed_bytes) + " from the start and " +
                           format_size(*available_bytes) +
                           " are available; choose a smaller --size"};
}

Service::Service(Setup setup, std::string isa, UniqueFd stopped,
                 std::unique_ptr<store::Store> store, std::unique_ptr<device::Transport> transport)
    : setup_(std::move(setup)),
      reason_(setup_.board->reason),
      isa_(std::move(isa)),
      stopped_(std::move(stopped)),
      store_(std::move(store)),
      transport_(std::move(transport)) {}

Service::~Service() {
  transport_.reset();
  store_.reset();
}

Result<std::unique_ptr<Service>> Service::start(Setup setup) {
  const Options& options = setup.options;
  ticks_per_second();  // measured here, so that the first stat does not wait for it
  const auto kernels = codec::select_kernels();
  if (!kernels) return kernels.error();
  UniqueFd stopped(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stopped) return errno_error("cannot make an eventfd");

  auto store = store_standing_by(setup, **kernels);
  if (!store) return store.error();
  if (auto begun = (*store)->begin(); !begun) return begun.error();

  // Written before the kernel's device is made: whoever kills us from here on, the guardian and a
  // sweep know what to look for.
  const bool is_ublk = setup.board->transport == device::TransportKind::kUblk;
  setup.state.transport = device::to_string(setup.board->transport);
  setup.state.id = options.id;
  if (auto saved = save_state(setup.state); !saved) return saved.error();
  const device::TransportOptions transport_options = transport_options_of(setup);
  auto transport =
      is_ublk ? device::start_ublk(**store, transport_options)
              : device::start_loop(**store, transport_options, std::move(setup.connection));
  if (!transport) {
    remove_state(options.name);
    return transport.error();
  }
  setup.state.id = (*transport)->info().id;
  setup.state.path = (*transport)->info().path;
  if (auto saved = save_state(setup.state); !saved) {
    transport->reset();
    remove_state(options.name);
    return saved.error();
  }
  return std::unique_ptr<Service>(new Service(std::move(setup), (*kernels)->name,
                                              std::move(stopped), std::move(*store),
                                              std::move(*transport)));
}

Result<std::unique_ptr<Service>> Service::stand_by(Setup setup) {
  ticks_per_second();
  const auto kernels = codec::select_kernels();
  if (!kernels) return kernels.error();
  UniqueFd stopped(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stopped) return errno_error("cannot make an eventfd");
  auto store = store_standing_by(setup, **kernels);
  if (!store) return store.error();
  const device::TransportOptions transport_options = transport_options_of(setup);
  auto transport = setup.board->transport == device::TransportKind::kUblk
                       ? device::stand_by_ublk(**store, transport_options, setup.state.id)
                       : device::stand_by_loop(**store, transport_options, setup.state.id,
                                               std::move(setup.connection));
  if (!transport) return transport.error();
  return std::unique_ptr<Service>(new Service(std::move(setup), (*kernels)->name,
                                              std::move(stopped), std::move(*store),
                                              std::move(*transport)));
}

Result<void> Service::take_over() {
  ++setup_.board->take_overs;
  store_->set_mem_limit(setup_.board->mem_limit_bytes);
  if (auto begun = store_->begin(); !begun) return begun;
  return transport_->take_over();
}

Result<void> Service::save_successor() {
  store_->claim_backing();
  setup_.state.path = transport_->info().path;
  auto saved = save_state(setup_.state);
  // The last server may have died between the store's change of size and the kernel's. Where the
  // kernel cannot change it there was none.
  auto resized = transport_->resize(store_->slots() * kPageSize);
  return resized || resized.error().code == EOPNOTSUPP ? saved : resized;
}

Result<Json> Service::handle(const Json& request, std::span<const UniqueFd> files) {
  const auto op = request.find("op");
  if (op == request.end() || !op->is_string()) {
    return Error{EINVAL,
                 "a request needs an op: stat, metrics, set, compact, idle, recompress, writeback "
                 "or stop"};
  }
  const auto& name = op->get_ref<const std::string&>();
  if (name == "stat") return stat();
  if (name == "metrics") return metrics();
  if (name == "set") return set(request);
  if (name == "compact") return compact();
  if (name == "idle") return idle(request);
  if (name == "recompress") return recompress(request, files);
  if (name == "writeback") return writeback(request);
  if (name == "stop") {
    if (auto stopped = stop(); !stopped) return stopped.error();
    return Json{{"ok", true}};
  }
  return Error{
      EINVAL,
      "unknown op " + name +
          "; the ops are stat, metrics, set, compact, idle, recompress, writeback and stop"};
}

Result<Json> Service::stat() {
  auto now = status();
  if (!now) return now.error();
  return Json{{"ok", true}, {"status", control::to_json(*now)}};
}

Result<Json> Service::metrics() {
  const auto now = status();
  if (!now) return now.error();
  return Json{{"ok", true}, {"metrics", control::metrics_text({&*now, 1})}};
}

Result<control::DeviceStatus> Service::status() {
  const std::lock_guard lock(stop_mutex_);
  if (is_stopped_) return Error{ENODEV, "the device is gone"};
  std::vector<ProcessId> processes = {setup_.board->guardian.load(),
                                      setup_.bulletin->spawner.load(),
                                      setup_.bulletin->logger.load(), setup_.state.worker};
  for (const Seat& seat : setup_.bulletin->stand_bys) processes.push_back(seat.load());
  std::uint64_t pss = 0;
  for (const ProcessId& process : processes) {
    if (process.pid == 0) continue;
    if (const auto bytes = pss_bytes(process.pid)) pss += *bytes;
  }
  const StatusSources sources{setup_.options,
                              transport_->info(),
                              reason_,
                              setup_.notes,
                              transport_->queue_stats(),
                              store_->stats(),
                              store_->backing_state(),
                              isa_,
                              setup_.bulletin->stand_bys_ready(),
                              setup_.board->take_overs,
                              monotonic_ns() - setup_.board->started_ns,
                              store_->resident_bytes(),
                              pss};
  return compose_status(sources);
}

Result<Json> Service::set(const Json& request) {
  const auto key = request.find("key");
  const auto value = request.find("value");
  if (key == request.end() || !key->is_string() || value == request.end() ||
      !value->is_number_unsigned()) {
    return Error{EINVAL, "set needs a key and a value that is a number of bytes"};
  }
  const auto& name = key->get_ref<const std::string&>();
  if (name == "mem_limit") {
    setup_.board->mem_limit_bytes = value->get<std::uint64_t>();
    store_->set_mem_limit(setup_.board->mem_limit_bytes);
  } else if (name == "mem_used_max") {
    // As zram has it: 0 starts the peak anew, anything else is refused.
    if (value->get<std::uint64_t>() != 0) return Error{EINVAL, "mem_used_max can only be set to 0"};
    store_->reset_mem_used_max();
  } else if (name == "writeback_limit") {
    store_->set_writeback_limit(value->get<std::uint64_t>());
  } else if (name == "writeback_limit_enable") {
    // As zram has it, but that a limit is in force once it is set.
    if (value->get<std::uint64_t>() != 0) {
      return Error{EINVAL, "writeback_limit_enable can only be set to 0; set writeback_limit"};
    }
    store_->set_writeback_limit(std::nullopt);
  } else if (name == "size") {
    if (auto resized = resize(value->get<std::uint64_t>()); !resized) return resized.error();
  } else {
    return Error{EINVAL, "unknown key " + name +
                             "; the keys are mem_limit, mem_used_max, writeback_limit, "
                             "writeback_limit_enable and size"};
  }
  return Json{{"ok", true}};
}

Result<void> Service::resize(std::uint64_t bytes) {
  const std::lock_guard lock(stop_mutex_);
  if (is_stopped_) return Error{ENODEV, "the device is gone"};
  const std::uint64_t old_bytes = store_->slots() * kPageSize;
  if (bytes == old_bytes) return {};
  auto device = block_device(transport_->info().path);
  if (!device) return device.error();
  for (const Use& use : find_uses(*device, setup_.options.name, {getpid()})) {
    if (use.kind != UseKind::kSwap) continue;
    return Error{EBUSY, device->path +
                            " is in use as swap, which would keep the size that it had "
                            "at swapon; run: swapoff " +
                            device->path};
  }
  if (bytes > old_bytes) {
    // The slots are there before the kernel sends requests for them.
    if (auto grown = store_->resize(bytes); !grown) return grown;
    auto resized = transport_->resize(bytes);
    if (!resized) static_cast<void>(store_->resize(old_bytes));
    return resized;
  }
  // Nobody may use the end that goes, nor begin to while we look.
  auto claimed = claim();
  if (!claimed) return claimed.error();
  if (auto good = store_->check_size(bytes); !good) return good;
  if (auto resized = transport_->resize(bytes); !resized) return resized;
  return store_->resize(bytes);
}

Result<Json> Service::compact() {
  // Not with the lock held: a stop by a signal need not wait for it.
  if (is_stopped()) return Error{ENODEV, "the device is gone"};
  return Json{{"ok", true}, {"pages_compacted", store_->compact()}};
}

Result<Json> Service::idle(const Json& request) {
  const auto age_seconds = number_in(request, "age");
  if (!age_seconds) return age_seconds.error();
  if (is_stopped()) return Error{ENODEV, "the device is gone"};
  const auto pages = store_->mark_idle(*age_seconds);
  if (!pages) return pages.error();
  return Json{{"ok", true}, {"pages_idle", *pages}};
}

Result<Json> Service::recompress(const Json& request, std::span<const UniqueFd> files) {
  const auto type = request.value("type", std::string());
  if (!type.empty() && type != "idle" && type != "huge" && type != "huge_idle") {
    return Error{EINVAL, "unknown type " + type + "; the types are idle, huge and huge_idle"};
  }
  const std::string& own = setup_.options.recompress;
  const auto algorithm = request.value("algorithm", own);
  if (!own.empty() && algorithm != own) {
    return Error{EINVAL, "the device was made to recompress with " + own + ", not " + algorithm};
  }
  store::RecompressRequest wanted;
  wanted.only_idle = type == "idle" || type == "huge_idle";
  wanted.only_huge = type == "huge" || type == "huge_idle";
  wanted.duration_ns = kSliceNs;
  for (const auto& [key, field] :
       {std::pair("threshold", &wanted.bytes_min), std::pair("max_pages", &wanted.pages_max),
        std::pair("first", &wanted.first_slot)}) {
    const auto number = number_in(request, key);
    if (!number) return number.error();
    *field = *number;
  }
  auto batches = batches_in(request, files);
  if (!batches) return std::move(batches).error();
  if (*batches) wanted.batches = &**batches;
  if (is_stopped()) return Error{ENODEV, "the device is gone"};
  const auto done = store_->recompress(wanted);
  if (!done) return done.error();
  if (done->no_memory) return Error{ENOMEM, "the pool had no memory for a smaller page"};
  if (done->error == EBADMSG) {
    return Error{EBADMSG, "a block that came back is not its page; the page stays as it was"};
  }
  if (done->error != 0) return errno_error(done->error, "nobody has compressed a batch of pages");
  return Json{{"ok", true},
              {"pages_recompressed", done->pages_recompressed},
              {"pages_kept", done->pages_kept},
              {"pages_parted", done->pages_parted},
              {"bytes_saved", done->bytes_saved},
              {"next", done->next_slot},
              {"done", done->done}};
}

Result<Json> Service::writeback(const Json& request) {
  const auto type = request.value("type", std::string());
  if (!type.empty() && type != "idle" && type != "huge" && type != "huge_idle" &&
      type != "incompressible") {
    return Error{EINVAL, "unknown type " + type +
                             "; the types are idle, huge, huge_idle and incompressible"};
  }
  store::WritebackRequest wanted;
  wanted.only_idle = type == "idle" || type == "huge_idle";
  wanted.only_huge = type == "huge" || type == "huge_idle";
  wanted.only_incompressible = type == "incompressible";
  wanted.duration_ns = kSliceNs;
  for (const auto& [key, field] :
       {std::pair("max_pages", &wanted.pages_max), std::pair("first", &wanted.first_slot),
        std::pair("end", &wanted.end_slot)}) {
    const auto number = number_in(request, key);
    if (!number) return number.error();
    if (request.contains(key)) *field = *number;
  }
  if (is_stopped()) return Error{ENODEV, "the device is gone"};
  const auto done = store_->write_back(wanted);
  if (!done) return done.error();
  return Json{{"ok", true},
              {"pages_written", done->pages_written},
              {"blocks_written", done->blocks_written},
              {"bytes_freed", done->bytes_freed},
              {"next", done->next_slot},
              {"end", name_of(done->end)},
              {"error", done->error}};
}

Result<UniqueFd> Service::claim() {
  const std::string& path = transport_->info().path;
  auto device = block_device(path);
  if (!device) return device.error();
  return claim_device(*device, setup_.options.name, {getpid(), setup_.board->guardian.load().pid},
                      kOpenersPatienceMs);
}

bool Service::is_stopped() {
  const std::lock_guard lock(stop_mutex_);
  return is_stopped_;
}

Result<void> Service::stop() {
  const std::lock_guard lock(stop_mutex_);
  if (is_stopped_) return stop_result_;
  auto claimed = claim();
  if (!claimed) {
    // A device that is no longer there has no users.
    const int code = claimed.error().code;
    if (code != ENOENT && code != ENXIO && code != ENODEV) return claimed.error();
    claimed = UniqueFd();
  }
  Report stopping;
  stopping.event = Event::kStopping;
  if (setup_.report_fd >= 0) send_report(setup_.report_fd, stopping);
  // Where this fails the transport no longer serves: the worker ends, and the guardian or a sweep
  // finishes with what the state file says.
  stop_result_ = transport_->stop_claimed(std::move(*claimed));
  is_stopped_ = true;
  if (stop_result_) remove_state(setup_.options.name);
  raise_event(stopped_.get());
  return stop_result_;
}

}  // namespace pleat::daemon
