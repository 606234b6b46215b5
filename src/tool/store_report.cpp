// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/store_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/sample_stats.h"
#include "tool/text_table.h"

namespace pleat::tool {
namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr const char* kMethod =
    "CPU time of the thread, system time included, best of {} interleaved repeats over pages "
    "shuffled anew, every page read back is verified; same-filled pages are left out; p50, p99 and "
    "p99.9 of single calls";

std::string number(double value) { return value > 0 ? fmt::format("{:#.3g}", value) : ""; }
std::string percent(double share) { return fmt::format("{:.2f} %", share * 100); }

// "+12 %": how much more `value` is than `base`.
std::string more_than(double value, double base) {
  return value > 0 && base > 0 ? fmt::format("{:+.1f} %", (value / base - 1) * 100) : "";
}

std::string label(const StoreResult& result) {
  return result.threads == 1 ? result.subject
                             : fmt::format("{}, {} threads", result.subject, result.threads);
}

std::string times_table(const StoreCorpusResult& mean) {
  Rows rows = {{"us of CPU a page", "Write", "Overwrite", "Read", "Discard", "spread"}};
  for (const StoreResult& result : mean.results) {
    std::vector<std::string> row = {label(result)};
    double spread = 0;
    for (const OperationTimes& times : result.operations) {
      row.push_back(number(times.us));
      spread = std::max(spread, times.spread);
    }
    row.push_back(fmt::format("{:.0f} %", spread * 100));
    rows.push_back(std::move(row));
  }
  return markdown_table(rows);
}

std::string calls_table(const StoreCorpusResult& mean) {
  Rows rows = {{"p50/p99/p99.9 us of a call", "Write", "Overwrite", "Read", "Discard"}};
  for (const StoreResult& result : mean.results) {
    std::vector<std::string> row = {label(result)};
    for (const OperationTimes& times : result.operations) {
      row.push_back(times.us > 0 ? fmt::format("{:.2f}/{:.1f}/{:.1f}", times.call_p50_us,
                                               times.call_p99_us, times.call_p999_us)
                                 : "");
    }
    rows.push_back(std::move(row));
  }
  return markdown_table(rows);
}

std::string throughput_table(const StoreCorpusResult& mean) {
  Rows rows = {{"GB/s by wall clock, all threads", "Write", "Overwrite", "Read", "Discard"}};
  for (const StoreResult& result : mean.results) {
    if (result.subject != mean.results[kStoreResult].subject) continue;
    std::vector<std::string> row = {label(result)};
    for (const OperationTimes& times : result.operations) row.push_back(number(times.gb_per_s));
    rows.push_back(std::move(row));
  }
  return markdown_table(rows);
}

double net_us(const StoreCorpusResult& corpus, StoreOperation operation) {
  return std::max(0.0, corpus.results[kZramResult].at(operation).us -
                           corpus.results[kZramSameFilledResult].at(operation).us);
}

std::string corpus_table(const std::vector<StoreCorpusResult>& columns) {
  Rows rows = {{"", "mean"}};
  for (std::size_t i = 1; i < columns.size(); ++i) rows[0].push_back(columns[i].name);
  const auto add = [&](const char* name,
                       const std::function<std::string(const StoreCorpusResult&)>& cell) {
    std::vector<std::string> row = {name};
    for (const StoreCorpusResult& corpus : columns) row.push_back(cell(corpus));
    rows.push_back(std::move(row));
  };
  const auto compare = [](std::size_t value, std::size_t base, StoreOperation operation) {
    return [=](const StoreCorpusResult& corpus) {
      return more_than(corpus.results[value].at(operation).us,
                       corpus.results[base].at(operation).us);
    };
  };
  add("Store write over the codec", compare(kStoreResult, kCodecResult, StoreOperation::kWrite));
  add("Store read over the codec", compare(kStoreResult, kCodecResult, StoreOperation::kRead));
  add("Ratio in the store",
      [](const StoreCorpusResult& corpus) { return number(corpus.memory.ratio); });
  add("Metadata of pool memory",
      [](const StoreCorpusResult& corpus) { return percent(corpus.memory.metadata_share); });
  add("Slot table of the device",
      [](const StoreCorpusResult& corpus) { return percent(corpus.memory.slot_table_share); });
  add("Background thread, us a page",
      [](const StoreCorpusResult& corpus) { return number(corpus.memory.background_us); });
  if (columns.front().results.size() <= kZramResult ||
      columns.front().results[kZramResult].subject.find("zram") == std::string::npos) {
    return markdown_table(rows);
  }
  add("zram write of store write", [](const StoreCorpusResult& corpus) {
    return number(corpus.results[kZramResult].at(StoreOperation::kWrite).us /
                  corpus.results[kStoreResult].at(StoreOperation::kWrite).us);
  });
  add("the same, same-filled cost off", [](const StoreCorpusResult& corpus) {
    return number(net_us(corpus, StoreOperation::kWrite) /
                  corpus.results[kStoreResult].at(StoreOperation::kWrite).us);
  });
  add("zram read of store read", [](const StoreCorpusResult& corpus) {
    return number(corpus.results[kZramResult].at(StoreOperation::kRead).us /
                  corpus.results[kStoreResult].at(StoreOperation::kRead).us);
  });
  add("the same, same-filled cost off", [](const StoreCorpusResult& corpus) {
    return number(net_us(corpus, StoreOperation::kRead) /
                  corpus.results[kStoreResult].at(StoreOperation::kRead).us);
  });
  add("Ratio in zram",
      [](const StoreCorpusResult& corpus) { return number(corpus.memory.zram_ratio); });
  return markdown_table(rows);
}

OperationTimes mean_times(const std::vector<OperationTimes>& times) {
  const auto all = [&times](double OperationTimes::*field) {
    std::vector<double> values;
    for (const OperationTimes& one : times) values.push_back(one.*field);
    return values;
  };
  const auto largest = [&all](double OperationTimes::*field) {
    const std::vector<double> values = all(field);
    return *std::max_element(values.begin(), values.end());
  };
  OperationTimes mean;
  mean.us = geometric_mean(all(&OperationTimes::us));
  mean.gb_per_s = geometric_mean(all(&OperationTimes::gb_per_s));
  mean.spread = median(all(&OperationTimes::spread));
  mean.call_p50_us = median(all(&OperationTimes::call_p50_us));
  mean.call_p99_us = largest(&OperationTimes::call_p99_us);
  mean.call_p999_us = largest(&OperationTimes::call_p999_us);
  return mean;
}

nlohmann::json to_json(const OperationTimes& times) {
  return {{"us", times.us},
          {"spread", times.spread},
          {"call_p50_us", times.call_p50_us},
          {"call_p99_us", times.call_p99_us},
          {"call_p999_us", times.call_p999_us},
          {"gb_per_s", times.gb_per_s}};
}

nlohmann::json to_json(const StoreCorpusResult& corpus) {
  nlohmann::json results = nlohmann::json::array();
  for (const StoreResult& result : corpus.results) {
    nlohmann::json entry = {{"subject", result.subject}, {"threads", result.threads}};
    for (std::size_t i = 0; i < kStoreOperations; ++i) {
      if (result.operations[i].us > 0) {
        entry[kStoreOperationNames[i]] = to_json(result.operations[i]);
      }
    }
    results.push_back(std::move(entry));
  }
  nlohmann::json memory = {{"ratio", corpus.memory.ratio},
                           {"metadata_share", corpus.memory.metadata_share},
                           {"slot_table_share", corpus.memory.slot_table_share},
                           {"background_us", corpus.memory.background_us}};
  if (corpus.memory.zram_ratio > 0) memory["zram_ratio"] = corpus.memory.zram_ratio;
  return {{"name", corpus.name},           {"synthetic", corpus.synthetic},
          {"pages", corpus.pages},         {"same_filled", corpus.same_filled},
          {"results", std::move(results)}, {"memory", std::move(memory)}};
}

}  // namespace

StoreCorpusResult mean_of(const std::vector<StoreCorpusResult>& all_corpora) {
  std::vector<const StoreCorpusResult*> corpora;
  for (const StoreCorpusResult& corpus : all_corpora) {
    if (!corpus.synthetic) corpora.push_back(&corpus);
  }
  if (corpora.empty()) {
    for (const StoreCorpusResult& corpus : all_corpora) corpora.push_back(&corpus);
  }
  StoreCorpusResult mean;
  mean.name = "mean";
  if (corpora.empty()) return mean;
  mean.results = corpora.front()->results;
  for (std::size_t r = 0; r < mean.results.size(); ++r) {
    for (std::size_t i = 0; i < kStoreOperations; ++i) {
      std::vector<OperationTimes> times;
      for (const StoreCorpusResult* corpus : corpora) {
        times.push_back(corpus->results[r].operations[i]);
      }
      mean.results[r].operations[i] = mean_times(times);
    }
  }
  std::vector<double> ratios;
  std::vector<double> zram_ratios;
  const auto share = 1 / static_cast<double>(corpora.size());
  for (const StoreCorpusResult* corpus : corpora) {
    mean.pages += corpus->pages;
    mean.same_filled += corpus->same_filled;
    ratios.push_back(corpus->memory.ratio);
    zram_ratios.push_back(corpus->memory.zram_ratio);
    mean.memory.metadata_share += corpus->memory.metadata_share * share;
    mean.memory.slot_table_share += corpus->memory.slot_table_share * share;
    mean.memory.background_us += corpus->memory.background_us * share;
  }
  mean.memory.ratio = geometric_mean(ratios);
  mean.memory.zram_ratio = geometric_mean(zram_ratios);
  return mean;
}

std::string to_text(const StoreBenchReport& report, const Machine& machine) {
  std::vector<StoreCorpusResult> columns = {mean_of(report.corpora)};
  columns.insert(columns.end(), report.corpora.begin(), report.corpora.end());
  const StoreCorpusResult& mean = columns.front();
  std::string text = fmt::format("Machine: {}\n", to_string(machine));
  text += "Method: " + fmt::format(kMethod, report.repeats) + "\n";
  text += fmt::format("Store: codec {}, tier {}; pages: {}, without {} same-filled\n\n",
                      report.codec, report.isa, mean.pages, mean.same_filled);
  text += times_table(mean) + "\n" + calls_table(mean) + "\n" + throughput_table(mean) + "\n" +
          corpus_table(columns);
  text +=
      "\nMeans over the page sets (synthetic ones left out where there are real ones) are "
      "geometric; p50 and spread are the median page set's, p99 and p99.9 the worst one's.\n";
  if (mean.results.size() > kZramSameFilledResult &&
      mean.results[kZramResult].subject.find("zram") != std::string::npos) {
    text +=
        "Kernel zram is called by pwrite, pread and BLKDISCARD with O_DIRECT: its figures include "
        "the system call and the block layer. A same-filled page costs zram these and a look at "
        "the "
        "page: take that off to compare what compressing and storing cost.\n";
  }
  return text;
}

nlohmann::json to_json(const StoreBenchReport& report, const Machine& machine) {
  nlohmann::json corpora = nlohmann::json::array();
  for (const StoreCorpusResult& corpus : report.corpora) corpora.push_back(to_json(corpus));
  return {{"machine", to_json(machine)},
          {"method",
           {{"repeats", report.repeats},
            {"estimator", "best repeat"},
            {"clock", "thread CPU time"},
            {"codec", report.codec},
            {"isa", report.isa}}},
          {"mean", to_json(mean_of(report.corpora))},
          {"corpora", std::move(corpora)}};
}

}  // namespace pleat::tool
