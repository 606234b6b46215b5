// SPDX-License-Identifier: MIT OR Apache-2.0
// What a measured figure depends on besides the code: printed with every benchmark.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace pleat::tool {

struct Machine {
  std::string cpu;       // the model name of /proc/cpuinfo
  unsigned cpus = 0;     // that this process may run on
  std::string kernel;    // "Linux 6.18.44"
  std::string compiler;  // that built this program: "g++ 12.2.0"
  std::string isa;       // the tiers that this processor has: "scalar avx2 avx512"
};

Machine this_machine();

// One line of all of it.
std::string to_string(const Machine& machine);
nlohmann::json to_json(const Machine& machine);

}  // namespace pleat::tool
