// SPDX-License-Identifier: MIT OR Apache-2.0
#include "gpu/simt/emulator.h"

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <exception>
#include <numeric>
#include <random>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define PLEAT_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PLEAT_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef PLEAT_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace pleat::gpu {
namespace {

namespace context = boost::context;

constexpr std::size_t kLaneStackBytes = std::size_t{256} << 10;
constexpr std::uint64_t kCollectivesMax = 1 << 18;
constexpr std::uint64_t kAccessesMax = 1 << 18;  // of a lane between two collectives

// Ends a lane from inside; the kernel's own code does not catch it.
struct LaneEnds {};

bool same_place(const Warp::Place& a, const Warp::Place& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::strcmp(a.file_name(), b.file_name()) == 0;
}

std::string words_of(const Warp::Place& place) {
  std::string file = place.file_name();
  file.erase(0, file.rfind('/') + 1);
  return file + ":" + std::to_string(place.line());
}

// AddressSanitizer has to be told of each change of stacks.
struct StackSwitch {
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  void* fake = nullptr;

  void leave([[maybe_unused]] const StackSwitch& to) {
#ifdef PLEAT_ADDRESS_SANITIZER
    __sanitizer_start_switch_fiber(&fake, to.bottom, to.bytes);
#endif
  }
  static void leave_for_good([[maybe_unused]] const StackSwitch& to) {
#ifdef PLEAT_ADDRESS_SANITIZER
    __sanitizer_start_switch_fiber(nullptr, to.bottom, to.bytes);
#endif
  }
  void arrive([[maybe_unused]] StackSwitch* from) {
#ifdef PLEAT_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(fake, from != nullptr ? &from->bottom : nullptr,
                                    from != nullptr ? &from->bytes : nullptr);
#endif
  }
};

// A stack below a page that faults, whose place the sanitizer is told.
struct LaneStack {
  context::protected_fixedsize_stack memory{kLaneStackBytes};
  StackSwitch* place;

  context::stack_context allocate() {
    const context::stack_context stack = memory.allocate();
    place->bottom = static_cast<const char*>(stack.sp) - stack.size;
    place->bytes = stack.size;
    return stack;
  }
  void deallocate(context::stack_context& stack) {
    // A lane's outermost frames are left, not returned from: whoever has memory here next would
    // find their red zones.
#ifdef PLEAT_ADDRESS_SANITIZER
    ASAN_UNPOISON_MEMORY_REGION(static_cast<const char*>(stack.sp) - stack.size, stack.size);
#endif
    memory.deallocate(stack);
  }
};

enum class Collective : std::uint8_t { kSync, kExchange, kBallot, kAdd, kOr };

struct Access {
  std::uint32_t at;
  std::uint32_t bytes;
};

// Who touched a byte of scratch memory since the last sync().
struct Touched {
  static constexpr std::uint8_t kNobody = 0xFF;
  static constexpr std::uint8_t kSeveral = 0xFE;
  static constexpr std::uint8_t kAtomicOr = 0xFD;
  static constexpr std::uint8_t kAtomicMax = 0xFC;
  std::uint32_t epoch = 0;
  std::uint8_t writer = kNobody;
  std::uint8_t reader = kNobody;
};

// How many clocks the banks take for what the lanes ask for at once. Up to 128 bytes are moved a
// clock, so wider accesses are served for 16 or 8 lanes at a time.
std::uint64_t bank_steps(const std::vector<Access>& accesses) {
  std::uint64_t steps = 0;
  const std::uint32_t bytes = std::max<std::uint32_t>(4, accesses.front().bytes);
  const std::size_t lanes = 128 / bytes;
  for (std::size_t begin = 0; begin < accesses.size(); begin += lanes) {
    std::array<std::array<std::uint32_t, kWarpLanes>, 32> words;
    std::array<unsigned, 32> count = {};
    unsigned most = 0;
    for (std::size_t i = begin; i < std::min(begin + lanes, accesses.size()); ++i) {
      const std::uint32_t first = accesses[i].at / 4;
      for (std::uint32_t word = first; word < first + bytes / 4; ++word) {
        auto& bank = words[word % 32];
        unsigned& used = count[word % 32];
        if (std::find(bank.begin(), bank.begin() + used, word) != bank.begin() + used) continue;
        bank[used++] = word;
        most = std::max(most, used);
      }
    }
    steps += most;
  }
  return steps;
}

thread_local std::string* current_fault = nullptr;

}  // namespace

void emulated_fault(const char* message) {
  if (current_fault->empty()) *current_fault = message;
  throw LaneEnds{};
}

struct Emulator::State {
  struct Lane {
    context::fiber fiber;      // the lane, while the scheduler runs
    context::fiber scheduler;  // the scheduler, while the lane runs
    StackSwitch stack;
    bool started = false;
    bool waits = false;  // in a collective; else it is done
    Warp::Place place;
    std::uintptr_t calls = 0;
    Collective kind = Collective::kSync;
    // What it gives to this collective and to the one before, which other lanes may still read.
    std::array<std::uint32_t, 2> given = {};
    unsigned turn = 0;
    std::vector<Access> accesses;
    std::uint64_t accessed = 0;
    std::array<std::uint32_t, kPhasesMax> phases = {};
  };

  std::vector<std::byte> scratch;
  std::vector<Touched> touched;
  std::array<Lane, kWarpLanes> lanes;
  StackSwitch scheduler_stack;
  std::array<unsigned, kWarpLanes> lane_order;
  Order order = Order::kForward;
  std::mt19937_64 random{1};
  std::vector<Warp::Place> removed;
  std::vector<Warp::Place> seen;
  const std::function<void(Warp&)>* kernel = nullptr;
  Emulator* owner = nullptr;
  EmulatorCounters counters;
  EmulatorCounters run_counters;
  std::uint32_t epoch = 1;
  std::uint32_t phases_touched = 0;
  std::array<std::uint32_t, 2> reduced = {};
  bool stopping = false;
  bool quit = false;
  std::string fault;

  // From the scheduler to a lane, until it waits or has ended.
  void resume(unsigned number) {
    Lane& lane = lanes[number];
    scheduler_stack.leave(lane.stack);
    lane.fiber = std::move(lane.fiber).resume();
    scheduler_stack.arrive(nullptr);
  }

  void start(unsigned number) {
    Lane& lane = lanes[number];
    lane.started = true;
    lane.fiber = context::fiber(std::allocator_arg, LaneStack{.place = &lane.stack},
                                [this, number](context::fiber&& scheduler) {
                                  Lane& self = lanes[number];
                                  self.stack.arrive(&scheduler_stack);
                                  self.scheduler = std::move(scheduler);
                                  while (!quit) {
                                    run_lane(number);
                                    self.waits = false;
                                    yield(number);
                                  }
                                  StackSwitch::leave_for_good(scheduler_stack);
                                  return std::move(self.scheduler);
                                });
  }

  void run_lane(unsigned number) {
    try {
      Warp warp(*owner, number);
      (*kernel)(warp);
    } catch (const LaneEnds&) {
    } catch (const std::exception& error) {
      if (fault.empty()) fault = error.what();
    }
  }

  // Back to the scheduler, until this lane's next turn.
  void yield(unsigned number) {
    Lane& lane = lanes[number];
    lane.stack.leave(scheduler_stack);
    lane.scheduler = std::move(lane.scheduler).resume();
    lane.stack.arrive(&scheduler_stack);
  }

  // By which calls a lane came to where it is: the same collective of a function that two branches
  // call is two of them on a GPU, where functions are inlined. Only builds without optimisation
  // keep a call a call, and a frame for each; all else have 0.
  std::uintptr_t calls_of([[maybe_unused]] unsigned number) const {
    std::uintptr_t hash = 0;
#if !defined(__OPTIMIZE__) && (defined(__x86_64__) || defined(__aarch64__))
    const auto bottom = reinterpret_cast<std::uintptr_t>(lanes[number].stack.bottom);
    const std::uintptr_t top = bottom + lanes[number].stack.bytes;
    auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    while (frame > bottom && frame < top - 2 * sizeof(frame) && frame % sizeof(frame) == 0) {
      std::uintptr_t saved[2];  // the caller's frame, and where it goes on
      std::memcpy(saved, reinterpret_cast<const void*>(frame), sizeof(saved));
      hash = (hash ^ saved[1]) * 0x9E3779B97F4A7C15;
      if (saved[0] <= frame) break;
      frame = saved[0];
    }
#endif
    return hash;
  }

  // Waits until all lanes are in this collective; returns which of the given values it is.
  unsigned meet(unsigned number, Collective kind, std::uint32_t value, const Warp::Place& place) {
    Lane& lane = lanes[number];
    const unsigned turn = lane.turn;
    lane.turn ^= 1;
    lane.given[turn] = value;
    lane.place = place;
    lane.calls = calls_of(number);
    lane.kind = kind;
    lane.waits = true;
    yield(number);
    if (stopping) throw LaneEnds{};
    return turn;
  }

  std::uint32_t meet_and_reduce(unsigned number, Collective kind, std::uint32_t value,
                                const Warp::Place& place) {
    return reduced[meet(number, kind, value, place)];
  }

  // The value that another lane gives.
  std::uint32_t exchange(unsigned number, std::uint32_t value, unsigned from,
                         const Warp::Place& place) {
    const unsigned turn = meet(number, Collective::kExchange, value, place);
    return lanes[from].given[turn];
  }

  // All lanes are in one collective: what it does.
  void end_collective() {
    ++run_counters.collectives;
    const unsigned turn = lanes[0].turn ^ 1;
    const Collective kind = lanes[0].kind;
    if (kind == Collective::kSync) {
      ++epoch;
      ++run_counters.syncs;
      const Warp::Place& place = lanes[0].place;
      if (std::none_of(seen.begin(), seen.end(),
                       [&](const Warp::Place& it) { return same_place(it, place); })) {
        seen.push_back(place);
      }
    }
    std::uint32_t result = 0;
    for (unsigned i = 0; i < kWarpLanes; ++i) {
      const std::uint32_t value = lanes[i].given[turn];
      if (kind == Collective::kBallot) result |= value << i;
      if (kind == Collective::kAdd) result += value;
      if (kind == Collective::kOr) result |= value;
    }
    reduced[turn] = result;
  }

  [[noreturn]] void fail(unsigned number, const std::string& what) {
    emulated_fault(("lane " + std::to_string(number) + " " + what).c_str());
  }

  // `self` is the lane, or what atomic access it is: those of one kind do not disturb each other.
  void touch(unsigned number, std::uint32_t at, std::uint32_t bytes, bool write,
             std::uint8_t self) {
    if (at % bytes != 0) fail(number, "accesses scratch memory that is not aligned to its size");
    if (at > scratch.size() || bytes > scratch.size() - at) {
      fail(number, "accesses byte " + std::to_string(at) + ", which is outside the scratch memory");
    }
    if (++lanes[number].accessed > kAccessesMax) fail(number, "does not end");
    lanes[number].accesses.push_back({at, bytes});
    for (std::uint32_t i = at; i < at + bytes; ++i) {
      Touched& byte = touched[i];
      if (byte.epoch != epoch) byte = {.epoch = epoch};
      const bool others_wrote = byte.writer != Touched::kNobody && byte.writer != self;
      const bool others_read = byte.reader != Touched::kNobody && byte.reader != number;
      if (others_wrote || (write && others_read)) {
        fail(number, std::string(write ? "writes" : "reads") + " byte " + std::to_string(i) +
                         " of the scratch memory, which another lane " +
                         (others_wrote ? "wrote" : "read") + " without a sync() between");
      }
      if (write) {
        byte.writer = self;
      } else {
        byte.reader = byte.reader == Touched::kNobody || byte.reader == number
                          ? static_cast<std::uint8_t>(number)
                          : Touched::kSeveral;
      }
    }
  }

  template <typename T>
  T read(unsigned number, std::uint32_t at) {
    touch(number, at, sizeof(T), false, static_cast<std::uint8_t>(number));
    T value;
    std::memcpy(&value, &scratch[at], sizeof(T));
    return value;
  }
  template <typename T>
  void write(unsigned number, std::uint32_t at, const T& value) {
    touch(number, at, sizeof(T), true, static_cast<std::uint8_t>(number));
    std::memcpy(&scratch[at], &value, sizeof(T));
  }

  template <typename Change>
  void change(unsigned number, std::uint32_t at, std::uint8_t kind, const Change& change) {
    touch(number, at, 4, true, kind);
    std::uint32_t word;
    std::memcpy(&word, &scratch[at], 4);
    word = change(word);
    std::memcpy(&scratch[at], &word, 4);
  }

  // What the lanes did since the last collective. Their accesses are taken in order: the first of
  // each lane at once, then the second of each.
  void take_counts() {
    std::vector<Access> at_once;
    for (std::size_t i = 0;; ++i) {
      at_once.clear();
      for (const Lane& lane : lanes) {
        if (i < lane.accesses.size()) at_once.push_back(lane.accesses[i]);
      }
      if (at_once.empty()) break;
      run_counters.scratch_steps += bank_steps(at_once);
    }
    for (Lane& lane : lanes) {
      lane.accesses.clear();
      lane.accessed = 0;
    }
    for (; phases_touched != 0; phases_touched &= phases_touched - 1) {
      const unsigned phase = trailing_zeros(phases_touched);
      std::uint32_t most = 0;
      for (Lane& lane : lanes) most = std::max(most, std::exchange(lane.phases[phase], 0));
      run_counters.phases[phase] += most;
    }
  }

  void shuffle_order() {
    if (order == Order::kRandom) std::shuffle(lane_order.begin(), lane_order.end(), random);
  }
};

Emulator::Emulator(std::size_t scratch_bytes) : state_(std::make_unique<State>()) {
  state_->scratch.resize(scratch_bytes);
  state_->touched.resize(scratch_bytes);
  state_->owner = this;
  set_order(Order::kForward);
}

Emulator::~Emulator() {
  state_->quit = true;
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    if (state_->lanes[lane].started) state_->resume(lane);
  }
}

void Emulator::set_order(Order order, std::uint64_t seed) {
  state_->order = order;
  state_->random.seed(seed);
  std::iota(state_->lane_order.begin(), state_->lane_order.end(), 0u);
  if (order == Order::kReverse) {
    std::reverse(state_->lane_order.begin(), state_->lane_order.end());
  }
}

void Emulator::remove_sync(const Warp::Place& place) { state_->removed.push_back(place); }

const std::vector<Warp::Place>& Emulator::syncs_seen() const { return state_->seen; }

const EmulatorCounters& Emulator::counters() const { return state_->counters; }

std::string Emulator::run(const std::function<void(Warp&)>& kernel) {
  State& state = *state_;
  state.kernel = &kernel;
  state.fault.clear();
  state.stopping = false;
  state.run_counters = {};
  ++state.epoch;
  for (std::byte& byte : state.scratch) byte = static_cast<std::byte>(state.random());
  std::string* const before = std::exchange(current_fault, &state.fault);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    if (!state.lanes[lane].started) state.start(lane);
    state.lanes[lane].turn = 0;
  }
  for (;;) {
    state.shuffle_order();
    for (const unsigned lane : state.lane_order) {
      state.resume(lane);
      // The other lanes may wait for a lane that ended by a fault.
      if (!state.fault.empty()) break;
    }
    state.take_counts();
    const auto waiting = static_cast<unsigned>(std::count_if(
        state.lanes.begin(), state.lanes.end(), [](const auto& lane) { return lane.waits; }));
    if (state.fault.empty()) {
      if (waiting == 0) break;
      const auto& first = state.lanes[0];
      for (unsigned lane = 0; lane < kWarpLanes && state.fault.empty(); ++lane) {
        const auto& other = state.lanes[lane];
        if (other.waits && first.waits && same_place(other.place, first.place) &&
            other.calls == first.calls) {
          continue;
        }
        const auto where = [](const auto& it) {
          return it.waits ? "waits at " + words_of(it.place) : std::string("has ended");
        };
        state.fault = "lane 0 " + where(first) + ", lane " + std::to_string(lane) + " " +
                      where(other) + ": a collective is not called by all lanes";
      }
      if (state.run_counters.collectives > kCollectivesMax) state.fault = "does not end";
    }
    if (state.fault.empty()) {
      state.end_collective();
      continue;
    }
    state.stopping = true;
    for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
      if (state.lanes[lane].waits) state.resume(lane);
    }
    break;
  }
  current_fault = before;
  if (state.fault.empty()) {
    EmulatorCounters& sum = state.counters;
    sum.collectives += state.run_counters.collectives;
    sum.syncs += state.run_counters.syncs;
    sum.scratch_steps += state.run_counters.scratch_steps;
    for (unsigned i = 0; i < kPhasesMax; ++i) sum.phases[i] += state.run_counters.phases[i];
  }
  return state.fault;
}

void Warp::sync(Place place) {
  Emulator::State& state = *emulator_->state_;
  for (const Place& removed : state.removed) {
    if (same_place(removed, place)) return;
  }
  state.meet(lane_, Collective::kSync, 0, place);
}

std::uint32_t Warp::ballot(bool value, Place place) {
  return emulator_->state_->meet_and_reduce(lane_, Collective::kBallot, value ? 1 : 0, place);
}
std::uint32_t Warp::reduce_add(std::uint32_t value, Place place) {
  return emulator_->state_->meet_and_reduce(lane_, Collective::kAdd, value, place);
}
std::uint32_t Warp::reduce_or(std::uint32_t value, Place place) {
  return emulator_->state_->meet_and_reduce(lane_, Collective::kOr, value, place);
}

std::uint32_t Warp::match_any(std::uint32_t value, Place place) {
  Emulator::State& state = *emulator_->state_;
  const unsigned turn = state.meet(lane_, Collective::kExchange, value, place);
  std::uint32_t same = 0;
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    same |= std::uint32_t{state.lanes[lane].given[turn] == value} << lane;
  }
  return same;
}

std::uint32_t Warp::shuffle(std::uint32_t value, unsigned from, Place place) {
  return emulator_->state_->exchange(lane_, value, from % kWarpLanes, place);
}
std::uint32_t Warp::shuffle_up(std::uint32_t value, unsigned distance, Place place) {
  const unsigned from = lane_ >= distance ? lane_ - distance : lane_;
  return emulator_->state_->exchange(lane_, value, from, place);
}
std::uint32_t Warp::add_from_below(std::uint32_t value, unsigned distance, Place place) {
  const unsigned from = distance <= lane_ ? lane_ - distance : lane_;
  const std::uint32_t below = emulator_->state_->exchange(lane_, value, from, place);
  return distance <= lane_ ? value + below : value;
}
std::uint32_t Warp::shuffle_xor(std::uint32_t value, unsigned mask, Place place) {
  return emulator_->state_->exchange(lane_, value, (lane_ ^ mask) % kWarpLanes, place);
}

std::uint32_t Warp::u8(std::uint32_t at) {
  return emulator_->state_->read<std::uint8_t>(lane_, at);
}
std::uint32_t Warp::u16(std::uint32_t at) {
  return emulator_->state_->read<std::uint16_t>(lane_, at);
}
std::uint32_t Warp::u32(std::uint32_t at) {
  return emulator_->state_->read<std::uint32_t>(lane_, at);
}
void Warp::u64(std::uint32_t at, std::uint32_t* low, std::uint32_t* high) {
  const auto both = emulator_->state_->read<std::uint64_t>(lane_, at);
  *low = static_cast<std::uint32_t>(both);
  *high = static_cast<std::uint32_t>(both >> 32);
}
Words4 Warp::words4(std::uint32_t at) { return emulator_->state_->read<Words4>(lane_, at); }

void Warp::put_u8(std::uint32_t at, std::uint32_t value) {
  emulator_->state_->write(lane_, at, static_cast<std::uint8_t>(value));
}
void Warp::put_u16(std::uint32_t at, std::uint32_t value) {
  emulator_->state_->write(lane_, at, static_cast<std::uint16_t>(value));
}
void Warp::put_u32(std::uint32_t at, std::uint32_t value) {
  emulator_->state_->write(lane_, at, value);
}
void Warp::put_u64(std::uint32_t at, std::uint32_t low, std::uint32_t high) {
  emulator_->state_->write(lane_, at, low | std::uint64_t{high} << 32);
}
void Warp::put_words4(std::uint32_t at, const Words4& words) {
  emulator_->state_->write(lane_, at, words);
}
void Warp::or_u32(std::uint32_t at, std::uint32_t value) {
  emulator_->state_->change(lane_, at, Touched::kAtomicOr,
                            [=](std::uint32_t word) { return word | value; });
}
void Warp::max_u32(std::uint32_t at, std::uint32_t value) {
  emulator_->state_->change(lane_, at, Touched::kAtomicMax,
                            [=](std::uint32_t word) { return std::max(word, value); });
}

void Warp::count(unsigned phase) {
  Emulator::State& state = *emulator_->state_;
  ++state.lanes[lane_].phases[phase];
  state.phases_touched |= 1u << phase;
}

}  // namespace pleat::gpu
