// SPDX-License-Identifier: MIT OR Apache-2.0
// Runs a kernel of simt.h on a CPU: 32 lanes as fibers, one after the other from collective to
// collective, in an order that can be chosen. A kernel that breaks a rule of simt.h ends with a
// message instead of a wrong page on some GPU: lanes that meet in different collectives, two lanes
// that touch a byte of scratch memory, one of them to write, without a sync() between, an access
// that is not aligned, outside the scratch memory, or a kernel that does not end.
//
// Accesses to the caller's buffers are checked for their alignment alone; tests give kernels
// buffers with inaccessible memory behind them. Several warps of a block are not emulated: they
// share nothing.
//
// It also counts what a GPU would do, which is the same each time: it depends on the kernel, its
// input and, where that reads scratch memory that nobody wrote, the noise there. One thread at a
// time uses an emulator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gpu/simt/simt.h"

namespace pleat::gpu {

inline constexpr unsigned kPhasesMax = 32;

struct EmulatorCounters {
  std::uint64_t collectives = 0;  // all of them, syncs and shuffles too
  std::uint64_t syncs = 0;
  // Clocks that the accesses to scratch memory take of its 32 banks of 4 bytes: 1 where no bank has
  // two words asked for at once, with at most 128 bytes a clock.
  std::uint64_t scratch_steps = 0;
  std::array<std::uint64_t, kPhasesMax> phases = {};  // by Warp::count()
};

class Emulator {
 public:
  enum class Order { kForward, kReverse, kRandom };

  explicit Emulator(std::size_t scratch_bytes);
  ~Emulator();
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  // In which order the lanes run between two collectives; kRandom changes it each time.
  void set_order(Order order, std::uint64_t seed = 1);

  // Ignores this call of sync(), to show that its absence is found.
  void remove_sync(const Warp::Place& place);
  // The calls of sync() that were run so far, in order of the first time.
  const std::vector<Warp::Place>& syncs_seen() const;

  // Runs the kernel once, by all lanes. The scratch memory holds noise at first, which the order's
  // seed decides. Returns what rule was broken, or nothing.
  std::string run(const std::function<void(Warp&)>& kernel);

  // Sums over all runs that broke no rule.
  const EmulatorCounters& counters() const;

 private:
  friend class Warp;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pleat::gpu
