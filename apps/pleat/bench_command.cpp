// SPDX-License-Identifier: MIT OR Apache-2.0
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "codec/kernels.h"
#include "codec/page_codec.h"
#include "commands.h"
#include "tool/codec_bench.h"
#include "tool/codec_report.h"
#include "tool/gpu_bench.h"
#include "tool/machine.h"
#include "tool/page_set.h"
#include "tool/store_bench.h"
#include "tool/store_report.h"

namespace pleat {
namespace {

struct PageArguments {
  std::vector<std::string> paths;
  bool synthetic = false;
  std::size_t pages_max = 2048;
  std::uint64_t seed = 1;
};

struct CodecArguments {
  PageArguments pages;
  std::vector<std::string> specs = {"lz4"};
  std::vector<std::string> isas;
  unsigned repeats = 9;
  bool json = false;
};

struct StoreArguments {
  PageArguments pages;
  tool::StoreBenchOptions options;
  std::string isa;
  std::vector<unsigned> threads;
  bool json = false;
};

void add_page_options(CLI::App& command, PageArguments& pages) {
  command
      .add_option("--pages", pages.paths,
                  "File of 4 KiB pages, or a directory with *.pages files; may be repeated")
      ->type_name("FILE|DIR");
  command.add_flag("--synthetic", pages.synthetic,
                   "Also zeros, repeated text, words, half text half random, and random pages");
  command.add_option("--pages-max", pages.pages_max, "Pages of a file that are used at most")
      ->check(CLI::Range(1u, 1u << 24))
      ->capture_default_str();
  command.add_option("--seed", pages.seed, "Seed of all shuffling and sampling")
      ->capture_default_str();
}

Result<std::vector<tool::PageSet>> load(const PageArguments& pages) {
  std::vector<tool::PageSet> sets;
  for (const std::string& path : pages.paths) {
    Result<std::vector<tool::PageSet>> loaded =
        tool::load_page_sets(path, pages.pages_max, pages.seed);
    if (!loaded) return std::move(loaded).error();
    for (tool::PageSet& set : *loaded) sets.push_back(std::move(set));
  }
  if (pages.synthetic) {
    for (tool::PageSet& set : tool::synthetic_page_sets(pages.pages_max, pages.seed)) {
      sets.push_back(std::move(set));
    }
  }
  if (sets.empty()) return Error{EINVAL, "nothing to measure with; give --pages or --synthetic"};
  return sets;
}

// The tiers to run: those named, every one for "all", and the one that PLEAT_ISA or the processor
// selects where none is named.
Result<std::vector<const codec::Kernels*>> select(const std::vector<std::string>& isas) {
  std::vector<const codec::Kernels*> tiers;
  for (const std::string& isa : isas) {
    if (isa == "all") {
      const auto all = codec::available_kernels();
      tiers.insert(tiers.end(), all.begin(), all.end());
      continue;
    }
    Result<const codec::Kernels*> tier = codec::select_kernels(isa.c_str());
    if (!tier) return std::move(tier).error();
    tiers.push_back(*tier);
  }
  if (isas.empty()) {
    Result<const codec::Kernels*> tier = codec::select_kernels();
    if (!tier) return std::move(tier).error();
    tiers.push_back(*tier);
  }
  return tiers;
}

template <typename Report>
void print(const Report& report, bool json) {
  const tool::Machine machine = tool::this_machine();
  const std::string text =
      json ? to_json(report, machine).dump(2) + "\n" : to_text(report, machine);
  std::fputs(text.c_str(), stdout);
}

// The levels of libzstd that levels of zstd are compared with; 1 for those that have a name.
std::set<int> libzstd_levels(const std::vector<std::string>& specs) {
  std::set<int> levels;
  for (const std::string& spec : specs) {
    if (!spec.starts_with("zstd")) continue;
    int level = 1;
    const std::string_view text = std::string_view(spec).substr(0, spec.find(','));
    if (text.starts_with("zstd:")) std::from_chars(&text[5], text.data() + text.size(), level);
    levels.insert(level);
  }
  return levels;
}

Result<void> run_codec(const CodecArguments& arguments) {
  Result<std::vector<tool::PageSet>> sets = load(arguments.pages);
  if (!sets) return std::move(sets).error();
  Result<std::vector<const codec::Kernels*>> tiers = select(arguments.isas);
  if (!tiers) return std::move(tiers).error();
  std::vector<tool::CodecSubject> subjects = {tool::memcpy_subject()};
  const auto& specs = arguments.specs;
  if (std::find(specs.begin(), specs.end(), "lz4hc") != specs.end()) {
    subjects.push_back(tool::liblz4_hc_subject());
  }
  for (const int level : libzstd_levels(specs)) subjects.push_back(tool::libzstd_subject(level));
  if (auto lzo = tool::lzo_subject()) subjects.push_back(std::move(*lzo));
  for (const std::string& spec : arguments.specs) {
    for (const codec::Kernels* tier : *tiers) {
      Result<tool::CodecSubject> subject = tool::pleat_subject(spec, *tier);
      if (!subject) return std::move(subject).error();
      subjects.push_back(std::move(*subject));
    }
  }
  tool::CodecBenchOptions options;
  options.repeats = arguments.repeats;
  options.seed = arguments.pages.seed;
  Result<tool::CodecBenchReport> report =
      tool::run_codec_bench(*sets, tool::liblz4_subject(), subjects, options);
  if (!report) return std::move(report).error();
  print(*report, arguments.json);
  return {};
}

void add_codec_command(CLI::App& bench, Action* action) {
  const auto arguments = std::make_shared<CodecArguments>();
  CLI::App* command =
      bench.add_subcommand("codec", "Measure page codecs against liblz4 in the same run");
  add_page_options(*command, arguments->pages);
  command->add_option("--codec", arguments->specs, "Codec to measure; may be repeated")
      ->type_name("SPEC")
      ->capture_default_str();
  command->add_option("--isa", arguments->isas, "Instruction-set tier, or all; may be repeated")
      ->type_name("NAME");
  command->add_option("--repeats", arguments->repeats, "Interleaved repeats")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "Print JSON");
  command->callback([=] { *action = [arguments] { return run_codec(*arguments); }; });
}

Result<void> run_store(const StoreArguments& arguments) {
  Result<std::vector<tool::PageSet>> sets = load(arguments.pages);
  if (!sets) return std::move(sets).error();
  Result<const codec::Kernels*> kernels = arguments.isa.empty()
                                              ? codec::select_kernels()
                                              : codec::select_kernels(arguments.isa.c_str());
  if (!kernels) return std::move(kernels).error();
  tool::StoreBenchOptions options = arguments.options;
  options.kernels = *kernels;
  options.codec = codec::codec_or_default(options.codec, **kernels);
  options.seed = arguments.pages.seed;
  options.threads = arguments.threads;
  if (options.threads.empty()) {
    options.threads = {1, 2, std::max(1u, std::thread::hardware_concurrency())};
  }
  std::sort(options.threads.begin(), options.threads.end());
  options.threads.erase(std::unique(options.threads.begin(), options.threads.end()),
                        options.threads.end());
  Result<tool::StoreBenchReport> report = tool::run_store_bench(*sets, options);
  if (!report) return std::move(report).error();
  print(*report, arguments.json);
  return {};
}

void add_store_command(CLI::App& bench, Action* action) {
  const auto arguments = std::make_shared<StoreArguments>();
  CLI::App* command = bench.add_subcommand(
      "store", "Measure the store against its codec, memcpy and kernel zram in the same run");
  add_page_options(*command, arguments->pages);
  arguments->options.codec = "auto";
  command->add_option("--codec", arguments->options.codec, "Codec of the store, or auto")
      ->type_name("SPEC")
      ->capture_default_str();
  command->add_option("--isa", arguments->isa, "Instruction-set tier")->type_name("NAME");
  command
      ->add_option("--threads", arguments->threads,
                   "Threads at once; may be repeated; 1, 2 and as many as CPUs by default")
      ->check(CLI::Range(1u, 256u))
      ->type_name("N");
  command->add_option("--repeats", arguments->options.repeats, "Interleaved repeats")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str();
  command->add_flag("--zram", arguments->options.zram,
                    "Also against a kernel zram device, made for this and removed (root)");
  command->add_flag("--json", arguments->json, "Print JSON");
  command->callback([=] { *action = [arguments] { return run_store(*arguments); }; });
}

struct GpuArguments {
  PageArguments pages;
  tool::GpuBenchOptions options;
};

Result<void> run_gpu(const GpuArguments& arguments) {
  Result<std::vector<tool::PageSet>> sets = load(arguments.pages);
  if (!sets) return std::move(sets).error();
  Result<const codec::Kernels*> kernels = codec::select_kernels();
  if (!kernels) return std::move(kernels).error();
  tool::GpuBenchOptions options = arguments.options;
  options.seed = arguments.pages.seed;
  Result<tool::GpuBenchReport> report = tool::run_gpu_bench(*sets, **kernels, options);
  if (!report) return std::move(report).error();
  std::fputs(to_text(*report).c_str(), stdout);
  return {};
}

void add_gpu_bench_command(CLI::App& bench, Action* action) {
  const auto arguments = std::make_shared<GpuArguments>();
  tool::GpuBenchOptions& options = arguments->options;
  options.threads = std::max(1u, std::thread::hardware_concurrency());
  CLI::App* command = bench.add_subcommand(
      "gpu", "Measure batches on the GPU, in its memory and end to end, beside all cores");
  add_page_options(*command, arguments->pages);
  command->add_option("--codec", options.codecs, "line or lz4; may be repeated")
      ->type_name("SPEC")
      ->capture_default_str();
  command->add_option("--batch", options.batches, "Pages of a batch; may be repeated")
      ->check(CLI::Range(1u, 1u << 20))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--device", options.device, "Number of the GPU")->capture_default_str();
  command->add_option("--threads", options.threads, "Threads of the processor's part")
      ->check(CLI::Range(1u, 4096u))
      ->capture_default_str();
  command->add_option("--repeats", options.repeats, "Repeats")
      ->check(CLI::Range(1u, 10000u))
      ->capture_default_str();
  command->callback([=] { *action = [arguments] { return run_gpu(*arguments); }; });
}

}  // namespace

void add_bench_command(CLI::App& app, Action* action) {
  CLI::App* bench =
      app.add_subcommand("bench", "Measure this machine: codecs, the store and a GPU");
  bench->require_subcommand(1);
  add_codec_command(*bench, action);
  add_store_command(*bench, action);
  add_gpu_bench_command(*bench, action);
}

}  // namespace pleat
