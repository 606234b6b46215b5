// SPDX-License-Identifier: MIT OR Apache-2.0
// The worker's device: the store, the transport over it, and the answers to the control socket.
//
//   start: store -> state file -> transport -> state file
//   stop:  uses looked for -> claim held -> transport gone -> state file gone
//
// Thread safety: handle() and stop() from any thread, one after the other; the rest from the
// thread that started the service.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "base/unique_fd.h"
#include "control/status.h"
#include "daemon/board.h"
#include "daemon/bulletin.h"
#include "daemon/options.h"
#include "daemon/state_file.h"
#include "device/transport.h"
#include "store/store.h"

namespace pleat::daemon {

class Service {
 public:
  struct Setup {
    Options options;
    bool io_flusher = true;              // whether the process may mark its threads
    std::vector<std::string> notes;      // what is not as it should be, for people
    State state;                         // with both processes; the service fills in the device
    int report_fd = -1;                  // the worker's end of the report channel
    Board* board = nullptr;              // of the device
    const Bulletin* bulletin = nullptr;  // of the daemon
    // Of a loop device whose server can be succeeded.
    device::LoopConnection connection;
  };

  // Says something to people with the device's features. Before others use the service.
  void add_note(std::string note) { setup_.notes.push_back(std::move(note)); }

  // Leaves nothing behind where it fails.
  static Result<std::unique_ptr<Service>> start(Setup setup);
  // A service for the device of setup.state, which another process serves: all is prepared, and
  // nothing is touched before take_over().
  static Result<std::unique_ptr<Service>> stand_by(Setup setup);
  // Serves the device from now on. Its last server is dead.
  Result<void> take_over();
  // Writes down who serves the device now, and sees to it that the kernel knows its size; after
  // take_over(), when there is time.
  Result<void> save_successor();
  // For a stand-by: makes ready for the size that the device has now.
  Result<void> follow_size() { return store_->follow_size(); }
  // Takes the device away, in use or not, where nobody stopped it and it is not a stand-by.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  const device::TransportInfo& device() const noexcept { return transport_->info(); }
  const std::string& transport_reason() const noexcept { return reason_; }
  // Becomes readable when the device has ended by itself.
  int ended_fd() const noexcept { return transport_->ended_fd(); }
  // Becomes readable when stop() has taken the device out of service; its result is then final.
  int stopped_fd() const noexcept { return stopped_.get(); }
  // Whether stop() has taken the device out of service. Waits for one that runs, which ends the
  // device, and so shows on ended_fd() before it shows on stopped_fd().
  bool is_stopped();

  // Whether requests wait and a queue does not run any more; to be asked all the time.
  bool is_stuck() noexcept { return transport_->is_stuck(); }

  store::StoreStats store_stats() const noexcept { return store_->stats(); }

  // Answers one request of the control socket.
  Result<nlohmann::json> handle(const nlohmann::json& request, std::span<const UniqueFd> files);

  // Takes the device away, or EBUSY and the service goes on. Success where it is gone already.
  Result<void> stop();

 private:
  Service(Setup setup, std::string isa, UniqueFd stopped, std::unique_ptr<store::Store> store,
          std::unique_ptr<device::Transport> transport);

  Result<control::DeviceStatus> status();
  Result<nlohmann::json> stat();
  Result<nlohmann::json> metrics();
  Result<nlohmann::json> set(const nlohmann::json& request);
  Result<void> resize(std::uint64_t bytes);
  Result<nlohmann::json> compact();
  Result<nlohmann::json> idle(const nlohmann::json& request);
  Result<nlohmann::json> recompress(const nlohmann::json& request, std::span<const UniqueFd> files);
  Result<nlohmann::json> writeback(const nlohmann::json& request);
  // Frees the device for removal, or says who uses it.
  Result<UniqueFd> claim();

  Setup setup_;
  const std::string reason_;
  const std::string isa_;
  UniqueFd stopped_;  // an eventfd
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<device::Transport> transport_;  // its queues use the store
  std::mutex stop_mutex_;
  bool is_stopped_ = false;
  Result<void> stop_result_;  // once it is
};

// How many queues the options ask for.
unsigned queues_of(const Options& options);

store::StoreOptions store_options_of(const Options& options, const codec::Kernels& kernels,
                                     bool io_flusher);

// Whether the memory that a device needs from the start is there: ENOMEM says how much is not.
Result<void> check_memory(const Options& options, const KernelRoots& roots = {});

}  // namespace pleat::daemon
