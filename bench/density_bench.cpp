// SPDX-License-Identifier: MIT OR Apache-2.0
// How densely the store keeps pages that come and go, beside a model of zsmalloc and, where asked
// for, a kernel zram device: density_bench PAGES [--OPTION VALUE]...
//
//   --codec SPEC     of the store; auto by default
//   --size MIB       of the device, 1024 by default
//   --fill PERCENT   of it that is in use, 60 by default
//   --steps N        of the churn, 10 million by default
//   --seed N
//   --zram ALGORITHM a kernel zram device with the same pages and steps
//
// The pages are those of PAGES, a file or a directory, but for same-filled ones, which take no pool
// memory. Each subject has the same steps. The store's pages are read and compared afterwards. The
// latencies are of single calls in the churned store, in rounds that take turns: with compaction
// asked for again and again by another thread, and without.
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/sample_stats.h"
#include "churn.h"
#include "codec/page_codec.h"
#include "store/size_class.h"
#include "store/store.h"
#include "tool/machine.h"
#include "tool/page_set.h"
#include "tool/text_table.h"
#include "tool/zram_peer.h"
#include "zsmalloc_model.h"

namespace pleat::bench {
namespace {

constexpr unsigned kSettleTimeout_ms = 10'000;

struct Arguments {
  std::string pages;
  std::string codec = "auto";
  std::string zram;
  std::uint64_t size_mib = 1024;
  std::uint64_t fill_percent = 60;
  std::uint64_t steps = 10'000'000;
  std::uint64_t seed = 1;
};

// All pages to write, and the bytes that the codec makes of each; a whole page where it is raw.
struct Pages {
  tool::PageBuffer memory;
  std::vector<std::size_t> sizes;

  std::size_t count() const { return sizes.size(); }
};

Error usage(const std::string& what) {
  return {EINVAL, what +
                      "; usage: density_bench PAGES [--codec SPEC] [--size MIB] [--fill PERCENT] "
                      "[--steps N] [--seed N] [--zram ALGORITHM]"};
}

Result<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  const std::map<std::string, std::string*> texts = {{"--codec", &arguments.codec},
                                                     {"--zram", &arguments.zram}};
  const std::map<std::string, std::uint64_t*> numbers = {{"--size", &arguments.size_mib},
                                                         {"--fill", &arguments.fill_percent},
                                                         {"--steps", &arguments.steps},
                                                         {"--seed", &arguments.seed}};
  for (int i = 1; i < argc; ++i) {
    const std::string key = argv[i];
    if (!key.starts_with("--")) {
      arguments.pages = key;
      continue;
    }
    if (++i == argc) return usage(key + " needs a value");
    const std::string value = argv[i];
    if (const auto text = texts.find(key); text != texts.end()) {
      *text->second = value;
    } else if (const auto number = numbers.find(key); number != numbers.end()) {
      const char* const end = value.data() + value.size();
      const auto parsed = std::from_chars(value.data(), end, *number->second);
      if (parsed.ec != std::errc{} || parsed.ptr != end) return usage(value + " is no number");
    } else {
      return usage("there is no option " + key);
    }
  }
  if (arguments.pages.empty()) return usage("no pages");
  if (arguments.size_mib == 0 || arguments.fill_percent == 0 || arguments.fill_percent > 100) {
    return usage("--size and --fill must be above 0, and --fill at most 100");
  }
  return arguments;
}

std::size_t size_in_store(codec::PageCodec& codec, const std::byte* page) {
  std::array<std::byte, kPageSize> block;
  const std::size_t size = codec.encode(page, block.data(), store::kCompressedBytesMax).size;
  return size == 0 ? kPageSize : size;
}

Result<Pages> load(const Arguments& arguments, codec::PageCodec& codec) {
  Result<std::vector<tool::PageSet>> sets =
      tool::load_page_sets(arguments.pages, 1u << 20, arguments.seed);
  if (!sets) return std::move(sets).error();
  std::size_t total = 0;
  for (const tool::PageSet& set : *sets) total += set.count;
  Pages pages{tool::PageBuffer(total * kPageSize), {}};
  for (const tool::PageSet& set : *sets) {
    for (std::size_t i = 0; i < set.count; ++i) {
      if (tool::same_filled(set.page(i))) continue;
      std::memcpy(pages.memory.page(pages.count()), set.page(i), kPageSize);
      pages.sizes.push_back(0);
    }
  }
  if (pages.count() == 0) return Error{ENODATA, "all pages are same-filled"};
  for (std::size_t i = 0; i < pages.count(); ++i) {
    pages.sizes[i] = size_in_store(codec, pages.memory.page(i));
  }
  return pages;
}

// What is stored, in what memory, at the three points in time.
struct Density {
  std::uint64_t stored_bytes = 0;
  std::uint64_t used_bytes = 0;
};
enum Point : std::size_t { kFilled, kChurned, kCompacted, kPoints };
constexpr std::array<const char*, kPoints> kPointNames = {"filled", "after the churn",
                                                          "compacted when asked"};
struct Course {
  std::string name;
  std::array<Density, kPoints> densities;
};

Churn make_churn(const Arguments& arguments, const Pages& pages) {
  const std::uint64_t slots = (arguments.size_mib << 20) / kPageSize;
  return {slots, slots * arguments.fill_percent / 100, pages.count(), arguments.seed};
}

// Fills the subject, churns it and compacts it, and asks for its density each time.
Result<Course> run_course(const std::string& name, const Arguments& arguments, Churn& churn,
                          const Churn::Subject& subject, const std::function<Density()>& density,
                          const std::function<void()>& compact) {
  Course course{name, {}};
  const Error failed{EIO, name + ": an operation failed"};
  if (!churn.fill(subject)) return failed;
  course.densities[kFilled] = density();
  for (std::uint64_t step = 0; step < arguments.steps; ++step) {
    if (!churn.step(subject)) return failed;
    if (step % 4096 == 0 && tool::BlockedSignals::pending()) return Error{EINTR, "interrupted"};
  }
  course.densities[kChurned] = density();
  compact();
  course.densities[kCompacted] = density();
  return course;
}

Result<Course> run_model(const Arguments& arguments, const Pages& pages) {
  Churn churn = make_churn(arguments, pages);
  ZsmallocModel model;
  struct Object {
    ZsmallocModel::Handle handle = 0;
    std::size_t bytes = 0;
  };
  std::vector<Object> objects((arguments.size_mib << 20) / kPageSize);
  std::uint64_t stored_bytes = 0;
  const auto drop = [&](std::uint64_t slot) {
    if (objects[slot].bytes == 0) return;
    model.free(objects[slot].handle);
    stored_bytes -= std::exchange(objects[slot].bytes, 0);
  };
  Churn::Subject subject;
  subject.write = [&](std::uint64_t slot, std::size_t page) {
    // As zram does, the new object before the old one goes.
    const Object fresh{model.allocate(pages.sizes[page]), pages.sizes[page]};
    drop(slot);
    objects[slot] = fresh;
    stored_bytes += fresh.bytes;
    return true;
  };
  subject.discard = [&](std::uint64_t slot) {
    drop(slot);
    return true;
  };
  return run_course(
      "zsmalloc, modelled", arguments, churn, subject,
      [&] {
        return Density{stored_bytes, model.used_bytes()};
      },
      [&] { model.compact(); });
}

Result<Course> run_zram(const Arguments& arguments, const Pages& pages) {
  auto zram = tool::ZramPeer::create(arguments.size_mib << 20, arguments.zram);
  if (!zram) return std::move(zram).error();
  const tool::StoreSubject device = (*zram)->subject(0);
  Churn churn = make_churn(arguments, pages);
  Churn::Subject subject;
  subject.write = [&](std::uint64_t slot, std::size_t page) {
    return device.write(slot, pages.memory.page(page));
  };
  subject.discard = device.discard;
  return run_course(
      "kernel zram, " + arguments.zram, arguments, churn, subject,
      [&] {
        const auto memory = (*zram)->memory();
        return memory ? Density{memory->compressed_bytes, memory->used_bytes} : Density{};
      },
      [&] { (void)(*zram)->compact(); });
}

// Latencies of single calls.
struct Latencies {
  std::vector<std::uint64_t> write_ticks;
  std::vector<std::uint64_t> read_ticks;
  std::uint64_t pages_compacted = 0;
};

// Rounds of churn and reads, every second one while another thread compacts without a pause.
Result<std::array<Latencies, 2>> measure_latencies(store::Store& store, Churn& churn,
                                                   const Churn::Subject& subject,
                                                   store::Store::Session& session) {
  constexpr int kRounds = 100;
  constexpr int kStepsPerRound = 10'000;
  std::array<Latencies, 2> latencies;
  Churn::Subject timed = subject;
  Latencies* current = nullptr;
  timed.write = [&](std::uint64_t slot, std::size_t page) {
    const std::uint64_t begin = ticks_now();
    const bool succeeded = subject.write(slot, page);
    current->write_ticks.push_back(ticks_now() - begin);
    return succeeded;
  };
  tool::PageBuffer page(kPageSize);
  for (int round = 0; round < kRounds; ++round) {
    current = &latencies[static_cast<std::size_t>(round % 2)];
    const std::uint64_t compacted_before = store.stats().pages_compacted;
    std::atomic<bool> stop{round % 2 == 0};
    std::thread compacting([&] {
      while (!stop) (void)store.compact();
    });
    bool succeeded = true;
    for (int step = 0; step < kStepsPerRound; ++step) {
      succeeded &= churn.step(timed);
      const std::uint64_t slot = churn.any_slot();
      const std::uint64_t begin = ticks_now();
      succeeded &= session.read(slot, page.data()) == store::StoreStatus::kOk;
      current->read_ticks.push_back(ticks_now() - begin);
    }
    stop = true;
    compacting.join();
    current->pages_compacted += store.stats().pages_compacted - compacted_before;
    if (!succeeded) return Error{EIO, "store: an operation failed"};
  }
  return latencies;
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? ""
                    : fmt::format("{:.2f} %",
                                  100 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string density_table(const std::vector<Course>& courses) {
  std::vector<std::vector<std::string>> rows = {{"Stored bytes of pool memory"}};
  for (const Course& course : courses) rows[0].push_back(course.name);
  for (std::size_t point = 0; point < kPoints; ++point) {
    std::vector<std::string> row = {kPointNames[point]};
    for (const Course& course : courses) {
      const Density& density = course.densities[point];
      row.push_back(percent(density.stored_bytes, density.used_bytes));
    }
    rows.push_back(std::move(row));
  }
  return tool::markdown_table(rows);
}

std::string metadata_table(const std::array<store::StoreStats, kPoints>& stats) {
  std::vector<std::vector<std::string>> rows = {{"The store", "stored MB", "pool MB",
                                                 "metadata of the pool", "with the slot table",
                                                 "pages compacted so far"}};
  for (std::size_t point = 0; point < kPoints; ++point) {
    const store::StoreStats& now = stats[point];
    rows.push_back({kPointNames[point],
                    fmt::format("{:.1f}", static_cast<double>(now.compr_data_size) / 1e6),
                    fmt::format("{:.1f}", static_cast<double>(now.mem_used_total) / 1e6),
                    percent(now.metadata_bytes, now.mem_used_total),
                    percent(now.metadata_bytes + now.slot_table_bytes, now.mem_used_total),
                    std::to_string(now.pages_compacted)});
  }
  return tool::markdown_table(rows);
}

std::string latency_table(std::array<Latencies, 2>& latencies) {
  std::vector<std::vector<std::string>> rows = {
      {"us of a call", "write p50", "p99", "p99.9", "read p50", "p99", "p99.9", "pages compacted"}};
  const double us_per_tick = 1e6 / ticks_per_second();
  for (std::size_t i = 0; i < 2; ++i) {
    std::vector<std::string> row = {i == 0 ? "compaction as it begins by itself"
                                           : "compaction without a pause"};
    for (auto* const ticks : {&latencies[i].write_ticks, &latencies[i].read_ticks}) {
      for (const double fraction : {0.5, 0.99, 0.999}) {
        row.push_back(
            fmt::format("{:.2f}", static_cast<double>(quantile(*ticks, fraction)) * us_per_tick));
      }
    }
    row.push_back(std::to_string(latencies[i].pages_compacted));
    rows.push_back(std::move(row));
  }
  return tool::markdown_table(rows);
}

Result<void> run(const Arguments& arguments) {
  const auto kernels = codec::select_kernels();
  if (!kernels) return kernels.error();
  store::StoreOptions options;
  options.device_bytes = arguments.size_mib << 20;
  options.codec = codec::codec_or_default(arguments.codec, **kernels);
  options.kernels = *kernels;
  auto codec = codec::PageCodec::open(options.codec, **kernels);
  if (!codec) return std::move(codec).error();
  auto pages = load(arguments, *codec);
  if (!pages) return std::move(pages).error();
  auto store = store::Store::create(options);
  if (!store) return std::move(store).error();
  auto session = (*store)->open_session();
  if (!session) return std::move(session).error();

  Churn churn = make_churn(arguments, *pages);
  Churn::Subject subject;
  subject.write = [&](std::uint64_t slot, std::size_t page) {
    const auto write = [&] { return (*session)->write(slot, pages->memory.page(page)); };
    if (write() == store::StoreStatus::kOk) return true;
    // On a busy machine the reserve's thread may not get the processor in time.
    (*store)->settle(kSettleTimeout_ms);
    return write() == store::StoreStatus::kOk;
  };
  subject.discard = [&](std::uint64_t slot) {
    (*session)->discard(slot, 1);
    return true;
  };
  std::array<store::StoreStats, kPoints> stats;
  std::size_t point = 0;
  std::uint64_t begin_ns = 0;
  std::uint64_t thread_begin_ns = 0;
  std::uint64_t process_begin_ns = 0;
  double seconds = 0;
  double background_share = 0;
  auto ours = run_course(
      "Pleat, " + options.codec, arguments, churn, subject,
      [&] {
        stats[point] = (*store)->stats();
        const store::StoreStats& now = stats[point];
        const std::uint64_t thread_ns = thread_cpu_ns() - thread_begin_ns;
        const std::uint64_t process_ns = process_cpu_ns() - process_begin_ns;
        if (point++ == kFilled) {
          begin_ns = monotonic_ns();
          thread_begin_ns = thread_cpu_ns();
          process_begin_ns = process_cpu_ns();
        } else if (seconds == 0) {
          seconds = static_cast<double>(monotonic_ns() - begin_ns) / 1e9;
          background_share =
              static_cast<double>(process_ns - thread_ns) / static_cast<double>(thread_ns);
        }
        return Density{now.compr_data_size, now.mem_used_total};
      },
      [&] {
        const std::uint64_t compact_begin_ns = monotonic_ns();
        (void)(*store)->compact();
        std::printf("compact() took %.1f ms\n",
                    static_cast<double>(monotonic_ns() - compact_begin_ns) / 1e6);
      });
  if (!ours) return std::move(ours).error();
  std::size_t wrong = 0;
  tool::PageBuffer out(kPageSize);
  churn.visit([&](std::uint64_t slot, std::size_t page) {
    const bool read = (*session)->read(slot, out.data()) == store::StoreStatus::kOk;
    wrong += !read || std::memcmp(out.data(), pages->memory.page(page), kPageSize) != 0;
  });
  if (wrong != 0) return Error{EBADMSG, fmt::format("{} pages came back wrong", wrong)};
  auto latencies = measure_latencies(**store, churn, subject, **session);
  if (!latencies) return std::move(latencies).error();

  std::vector<Course> courses = {*std::move(ours)};
  auto model = run_model(arguments, *pages);
  if (!model) return std::move(model).error();
  courses.push_back(*std::move(model));
  if (!arguments.zram.empty()) {
    auto zram = run_zram(arguments, *pages);
    if (!zram) return std::move(zram).error();
    courses.push_back(*std::move(zram));
  }
  fmt::print(
      "{}\n{} pages; device of {} MiB, {} % of it in use; {} steps, seed {}; {:.1f} s, background "
      "threads "
      "{:.1f} % of the writer's CPU time; all pages compared\n\n{}\n{}\n{}",
      tool::to_string(tool::this_machine()), pages->count(), arguments.size_mib,
      arguments.fill_percent, arguments.steps, arguments.seed, seconds, 100 * background_share,
      density_table(courses), metadata_table(stats), latency_table(*latencies));
  return {};
}

}  // namespace
}  // namespace pleat::bench

int main(int argc, char** argv) {
  const auto arguments = pleat::bench::parse(argc, argv);
  const auto done =
      arguments ? pleat::bench::run(*arguments) : pleat::Result<void>(arguments.error());
  if (done) return 0;
  std::fprintf(stderr, "density_bench: %s\n", done.error().message.c_str());
  return arguments ? 1 : 2;
}
