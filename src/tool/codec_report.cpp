// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/codec_report.h"

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "tool/text_table.h"

namespace pleat::tool {
namespace {

constexpr const char* kMethod =
    "thread CPU time, best of {} interleaved repeats over pages and addresses shuffled anew, every "
    "page verified; 1 GB = 1e9 uncompressed bytes; a page over {} compressed bytes counts as 4096; "
    "same-filled pages are compressed like others; p50 and p99 of single calls";

// Three significant digits; nothing where there is no measurement.
std::string number(double value) { return value > 0 ? fmt::format("{:#.3g}", value) : ""; }
std::string micros(double ns) { return ns > 0 ? fmt::format("{:.2f}", ns / 1000) : ""; }

std::string label(const CodecResult& codec) {
  return codec.isa.empty() ? codec.codec : codec.codec + "/" + codec.isa;
}

std::string mean_table(const CodecBenchReport& report) {
  std::vector<std::vector<std::string>> rows = {{"Codec", "Ratio", "of liblz4", "Compress GB/s",
                                                 "of liblz4", "p50/p99 us", "spread",
                                                 "Decompress GB/s", "of liblz4", "p50/p99 us",
                                                 "spread", "liblz4's blocks GB/s", "of liblz4"}};
  for (const CodecResult& codec : report.mean) {
    std::vector<std::string> row = {label(codec), fmt::format("{:.3f}", codec.ratio),
                                    number(codec.ratio_of_liblz4)};
    for (const CallTimes* times : {&codec.compress, &codec.decompress}) {
      row.push_back(number(times->gb_per_s));
      row.push_back(number(times->of_liblz4));
      row.push_back(micros(times->call_p50_ns) + "/" + micros(times->call_p99_ns));
      row.push_back(fmt::format("{:.0f} %", times->spread * 100));
    }
    row.push_back(number(codec.decompress_liblz4_blocks.gb_per_s));
    row.push_back(number(codec.decompress_liblz4_blocks.of_liblz4));
    rows.push_back(std::move(row));
  }
  return markdown_table(rows);
}

std::string batch_table(const CodecBenchReport& report) {
  std::vector<std::vector<std::string>> rows = {
      {"In batches", "Compress GB/s", "of liblz4", "Decompress GB/s", "of liblz4"}};
  for (const CodecResult& codec : report.mean) {
    rows.push_back({label(codec), number(codec.compress_batches.gb_per_s),
                    number(codec.compress_batches.of_liblz4),
                    number(codec.decompress_batches.gb_per_s),
                    number(codec.decompress_batches.of_liblz4)});
  }
  return markdown_table(rows);
}

// One row a codec, one column a page set, the mean first.
std::string corpus_table(const CodecBenchReport& report, const std::string& measure,
                         const std::function<double(const CodecResult&)>& value) {
  std::vector<std::vector<std::string>> rows = {{measure, "geo"}};
  for (const CorpusResult& corpus : report.corpora) rows[0].push_back(corpus.name);
  for (std::size_t i = 0; i < report.mean.size(); ++i) {
    std::vector<std::string> row = {label(report.mean[i]), number(value(report.mean[i]))};
    for (const CorpusResult& corpus : report.corpora)
      row.push_back(number(value(corpus.codecs[i])));
    rows.push_back(std::move(row));
  }
  return markdown_table(rows);
}

std::string corpus_sizes(const CodecBenchReport& report) {
  std::string text;
  for (const CorpusResult& corpus : report.corpora) {
    text += fmt::format("{}{} {} ({} same-filled)", text.empty() ? "" : ", ", corpus.name,
                        corpus.pages, corpus.same_filled);
  }
  return text;
}

nlohmann::json to_json(const CallTimes& times) {
  return {{"gb_per_s", times.gb_per_s},
          {"of_liblz4", times.of_liblz4},
          {"spread", times.spread},
          {"call_p50_ns", times.call_p50_ns},
          {"call_p99_ns", times.call_p99_ns}};
}

nlohmann::json batch_json(const CallTimes& times) {
  return {{"gb_per_s", times.gb_per_s}, {"of_liblz4", times.of_liblz4}};
}

nlohmann::json to_json(const std::vector<CodecResult>& codecs) {
  nlohmann::json list = nlohmann::json::array();
  for (const CodecResult& codec : codecs) {
    nlohmann::json entry = {{"codec", codec.codec},
                            {"isa", codec.isa},
                            {"ratio", codec.ratio},
                            {"ratio_of_liblz4", codec.ratio_of_liblz4},
                            {"compress", to_json(codec.compress)},
                            {"decompress", to_json(codec.decompress)},
                            {"compress_batches", batch_json(codec.compress_batches)},
                            {"decompress_batches", batch_json(codec.decompress_batches)}};
    if (codec.decompress_liblz4_blocks.gb_per_s > 0) {
      entry["decompress_liblz4_blocks"] = to_json(codec.decompress_liblz4_blocks);
    }
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

std::string to_text(const CodecBenchReport& report, const Machine& machine) {
  std::string text = fmt::format("Machine: {}\n", to_string(machine));
  text += "Method: " + fmt::format(kMethod, report.repeats, kRawThresholdBytes) + "\n";
  text += "Pages: " + corpus_sizes(report) + "\n\n";
  text += mean_table(report);
  text +=
      "\nMeans over the page sets (synthetic ones left out where there are real ones) are "
      "geometric; p50 and spread are the median page set's, p99 "
      "is the worst one's.\n";
  text += "\n" + batch_table(report);
  text += fmt::format(
      "\nIn calls of {0} pages; decompressed to {0} buffers that each call uses again, as a device "
      "does. liblz4 has no such call and gets the pages one by one.\n",
      kBatchPages);
  const auto add = [&](const char* measure,
                       const std::function<double(const CodecResult&)>& value) {
    text += "\n" + corpus_table(report, measure, value);
  };
  add("Ratio", [](const CodecResult& codec) { return codec.ratio; });
  add("Compress GB/s", [](const CodecResult& codec) { return codec.compress.gb_per_s; });
  add("Compress of liblz4", [](const CodecResult& codec) { return codec.compress.of_liblz4; });
  add("Decompress GB/s", [](const CodecResult& codec) { return codec.decompress.gb_per_s; });
  add("Decompress of liblz4", [](const CodecResult& codec) { return codec.decompress.of_liblz4; });
  add("Compress in batches, of liblz4",
      [](const CodecResult& codec) { return codec.compress_batches.of_liblz4; });
  add("Decompress in batches, of liblz4",
      [](const CodecResult& codec) { return codec.decompress_batches.of_liblz4; });
  add("liblz4's blocks, of liblz4",
      [](const CodecResult& codec) { return codec.decompress_liblz4_blocks.of_liblz4; });
  return text;
}

nlohmann::json to_json(const CodecBenchReport& report, const Machine& machine) {
  nlohmann::json corpora = nlohmann::json::array();
  for (const CorpusResult& corpus : report.corpora) {
    corpora.push_back({{"name", corpus.name},
                       {"synthetic", corpus.synthetic},
                       {"pages", corpus.pages},
                       {"same_filled", corpus.same_filled},
                       {"codecs", to_json(corpus.codecs)}});
  }
  return {{"machine", to_json(machine)},
          {"method",
           {{"repeats", report.repeats},
            {"estimator", "best repeat"},
            {"clock", "thread CPU time"},
            {"raw_threshold_bytes", kRawThresholdBytes},
            {"batch_pages", kBatchPages}}},
          {"mean", to_json(report.mean)},
          {"corpora", std::move(corpora)}};
}

}  // namespace pleat::tool
