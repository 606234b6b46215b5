// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "codec/kernels.h"

namespace pleat::tool {
namespace {

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name") && !line.starts_with("CPU part")) continue;
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace

Machine this_machine() {
  Machine machine;
  machine.cpu = cpu_model();
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    machine.cpus = static_cast<unsigned>(CPU_COUNT(&allowed));
  }
  struct utsname system {};
  ::uname(&system);
  machine.kernel = fmt::format("{} {}", system.sysname, system.release);
#if defined(__clang__)
  machine.compiler =
      fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  machine.compiler = fmt::format("g++ {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
  for (const codec::Kernels* kernels : codec::available_kernels()) {
    if (!machine.isa.empty()) machine.isa += ' ';
    machine.isa += kernels->name;
  }
  return machine;
}

std::string to_string(const Machine& machine) {
  return fmt::format("{}, {} CPUs, {}, built with {}, isa {}", machine.cpu, machine.cpus,
                     machine.kernel, machine.compiler, machine.isa);
}

nlohmann::json to_json(const Machine& machine) {
  return {{"cpu", machine.cpu},
          {"cpus", machine.cpus},
          {"kernel", machine.kernel},
          {"compiler", machine.compiler},
          {"isa", machine.isa}};
}

}  // namespace pleat::tool
