// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/state_file.h"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "base/replace_file.h"
#include "control/socket.h"

namespace pleat::daemon {

namespace {

using Json = nlohmann::json;

std::string state_path(const std::string& name) {
  return control::runtime_directory() + "/" + name + ".json";
}

std::string unfinished_path(const std::string& name) { return state_path(name) + ".new"; }

Json to_json(const ProcessId& process) {
  return {{"pid", process.pid}, {"start_ticks", process.start_ticks}};
}

ProcessId process_from_json(const Json& json) {
  return {json.at("pid").get<pid_t>(), json.at("start_ticks").get<std::uint64_t>()};
}

}  // namespace

Result<void> save_state(const State& state) {
  const Json json = {
      {"name", state.name},
      {"guardian", to_json(state.guardian)},
      {"worker", to_json(state.worker)},
      {"transport", state.transport},
      {"id", state.id},
      {"path", state.path},
  };
  return replace_file(state_path(state.name), unfinished_path(state.name), json.dump() + "\n",
                      0600);
}

Result<State> load_state(const std::string& name) {
  const std::string path = state_path(name);
  if (access(path.c_str(), F_OK) != 0) return errno_error("cannot open " + path);
  auto text = read_file(path);
  if (!text) return text.error();
  const Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  try {
    State state;
    state.name = json.at("name").get<std::string>();
    state.guardian = process_from_json(json.at("guardian"));
    state.worker = process_from_json(json.at("worker"));
    state.transport = json.at("transport").get<std::string>();
    state.id = json.at("id").get<int>();
    state.path = json.at("path").get<std::string>();
    const bool known =
        state.transport.empty() || state.transport == "ublk" || state.transport == "loop";
    if (known && state.name == name) return state;
  } catch (const Json::exception&) {  // NOLINT(bugprone-empty-catch): said below
  }
  return Error{EBADMSG, path + " is not a state file of pleatd; remove it"};
}

void remove_state(const std::string& name) {
  unlink(unfinished_path(name).c_str());
  unlink(state_path(name).c_str());
}

std::vector<std::string> names_in_runtime_directory() {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(control::runtime_directory().c_str()),
                                                      closedir);
  std::set<std::string> names;
  if (!directory) return {};
  while (const dirent* const entry = readdir(directory.get())) {
    const std::string_view file = entry->d_name;
    for (const std::string_view suffix : {".json.new", ".json", ".sock", ".lock"}) {
      if (!file.ends_with(suffix)) continue;
      std::string name(file.substr(0, file.size() - suffix.size()));
      if (control::valid_name(name)) names.insert(std::move(name));
      break;
    }
  }
  return {names.begin(), names.end()};
}

device::TransportInfo leftovers_of(const State& state) {
  device::TransportInfo info;
  info.kind =
      state.transport == "ublk" ? device::TransportKind::kUblk : device::TransportKind::kLoop;
  info.id = state.id;
  info.path = state.path;
  return info;
}

}  // namespace pleat::daemon
