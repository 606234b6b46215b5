// SPDX-License-Identifier: MIT OR Apache-2.0
// The daemon's socket, /run/pleat/NAME.sock: one JSON object a line in each direction, root only.
//
//   {"op":"stat"}                              -> {"ok":true,"status":{...}}
//   {"op":"metrics"}                           -> {"ok":true,"metrics":"..."}
//   {"op":"set","key":"mem_limit","value":N}   -> {"ok":true}
//   {"op":"set","key":"size","value":N}        -> {"ok":true}
//   {"op":"compact"}                           -> {"ok":true,"pages_compacted":N}
//   {"op":"idle"}                              -> {"ok":true,"pages_idle":N}
//   {"op":"idle","age":SECONDS}                -> {"ok":true,"pages_idle":N}
//   {"op":"recompress",...}                    -> {"ok":true,...}, see docs/control.md
//   {"op":"writeback",...}                     -> {"ok":true,...}, see docs/control.md
//   {"op":"stop"}                              -> {"ok":true} once the device is gone
//   anything that fails                        -> {"ok":false,"code":16,"error":"..."}
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "base/unique_fd.h"

namespace pleat::control {

// /run/pleat, or PLEAT_RUNTIME_DIR where it is set (tests).
std::string runtime_directory();
std::string socket_path(const std::string& name);

// Whether `name` is fit for a device: [A-Za-z0-9_.-]{1,32}, not starting with a dot or dash.
bool valid_name(const std::string& name);

// Serves requests on a thread of its own, one connection after the other is enough; a client that
// sends nothing or half a line for 5 s is dropped, and a line is at most 64 KiB.
class Server {
 public:
  // Called on the server's thread, with the descriptors that came with the request. Its answer is
  // sent as it is; an Error becomes {"ok":false,...}.
  using Handler = std::function<Result<nlohmann::json>(const nlohmann::json& request,
                                                       std::span<const UniqueFd> files)>;

  // EADDRINUSE where a living daemon listens there already; a dead one's socket is replaced.
  static Result<std::unique_ptr<Server>> start(const std::string& name, Handler handler);
  virtual ~Server() = default;  // stops the thread and removes the socket
};

// Sends one request, and descriptors with it, and returns the daemon's answer, at most timeout_ms
// later (ETIMEDOUT). An answer with "ok":false becomes an Error with its text and code. ENOENT: "no
// device NAME; see pleat list".
Result<nlohmann::json> call(const std::string& name, const nlohmann::json& request,
                            unsigned timeout_ms, std::span<const int> files = {});

// Names with a socket in the runtime directory, sorted, whether or not somebody listens.
std::vector<std::string> device_names();

}  // namespace pleat::control
