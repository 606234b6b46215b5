// SPDX-License-Identifier: MIT OR Apache-2.0
// The choice of a tier, once, at start.
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

#include "codec/cpu_features.h"
#include "codec/isa/tables.h"
#include "codec/kernels.h"

namespace pleat::codec {
namespace {

struct Tiers {
  const Kernels* tables[3];
  std::size_t count;
};

Tiers find_tiers() noexcept {
  Tiers tiers{{&kScalarKernels}, 1};
#if defined(__x86_64__)
  if (cpu_has_avx2_tier()) tiers.tables[tiers.count++] = &kAvx2Kernels;
  if (cpu_has_avx512_tier()) tiers.tables[tiers.count++] = &kAvx512Kernels;
#elif defined(__aarch64__)
  tiers.tables[tiers.count++] = &kNeonKernels;
#endif
  return tiers;
}

}  // namespace

std::span<const Kernels* const> available_kernels() noexcept {
  static const Tiers tiers = find_tiers();
  return {tiers.tables, tiers.count};
}

Result<const Kernels*> select_kernels(const char* name) {
  const auto kernels = available_kernels();
  const std::string_view wanted = name;
  if (wanted.empty()) return kernels.back();
  std::string names;
  for (const Kernels* tier : kernels) {
    if (wanted == tier->name) return tier;
    names += names.empty() ? "" : ", ";
    names += tier->name;
  }
  return Error{ENOTSUP, "instruction set '" + std::string(wanted) +
                            "' is unknown or not supported by this processor, which has " + names};
}

Result<const Kernels*> select_kernels() {
  const char* const name = std::getenv("PLEAT_ISA");
  if (name == nullptr) return select_kernels("");
  auto kernels = select_kernels(name);
  if (!kernels) return with_context(std::move(kernels).error(), "PLEAT_ISA");
  return kernels;
}

}  // namespace pleat::codec
