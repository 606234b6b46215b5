// SPDX-License-Identifier: MIT OR Apache-2.0
// A strict reader of Prometheus's text format, version 0.0.4, as its documentation has it: what it
// does not read, a server may not either.
#pragma once

#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace pleat::control {

struct ExposedSample {
  std::string name;  // with its suffix
  std::map<std::string, std::string> labels;
  double value = 0;
};

struct ExposedFamily {
  std::string name;
  std::string help;
  std::string type;
  std::vector<ExposedSample> samples;
};

struct Exposed {
  std::vector<ExposedFamily> families;
  std::string error;  // what is wrong with the text; empty where nothing is

  const ExposedFamily* find(const std::string& name) const {
    for (const ExposedFamily& family : families) {
      if (family.name == name) return &family;
    }
    return nullptr;
  }
};

// name="value",... with the escapes \\ \" \n; none where it is anything else.
inline std::optional<std::map<std::string, std::string>> read_labels(std::string_view text) {
  std::map<std::string, std::string> labels;
  while (!text.empty()) {
    const std::size_t equals = text.find("=\"");
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string name(text.substr(0, equals));
    if (!std::regex_match(name, std::regex("[a-zA-Z_][a-zA-Z0-9_]*"))) return std::nullopt;
    text.remove_prefix(equals + 2);
    std::string value;
    std::size_t at = 0;
    for (; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\n') return std::nullopt;
      if (text[at] != '\\') {
        value += text[at];
        continue;
      }
      if (++at == text.size()) return std::nullopt;
      if (text[at] != '\\' && text[at] != '"' && text[at] != 'n') return std::nullopt;
      value += text[at] == 'n' ? '\n' : text[at];
    }
    if (at == text.size() || !labels.emplace(name, value).second) return std::nullopt;
    text.remove_prefix(at + 1);
    if (text.empty()) break;
    if (text[0] != ',' || text.size() == 1) return std::nullopt;
    text.remove_prefix(1);
  }
  return labels;
}

// What a histogram must keep: buckets that grow up to +Inf, which is the count, and a sum.
inline std::string fault_of_histogram(const ExposedFamily& family) {
  struct Series {
    std::map<double, double> buckets;
    std::optional<double> sum;
    std::optional<double> count;
  };
  std::map<std::map<std::string, std::string>, Series> all;
  for (const ExposedSample& sample : family.samples) {
    std::map<std::string, std::string> labels = sample.labels;
    labels.erase("le");
    Series& series = all[labels];
    const std::string suffix = sample.name.substr(family.name.size());
    if (suffix == "_sum") series.sum = sample.value;
    if (suffix == "_count") series.count = sample.value;
    if (suffix != "_bucket") continue;
    if (!sample.labels.contains("le")) return "a bucket of " + family.name + " without a limit";
    const std::string limit = sample.labels.at("le");
    const double value = limit == "+Inf" ? HUGE_VAL : std::strtod(limit.c_str(), nullptr);
    if (!series.buckets.empty() && value <= series.buckets.rbegin()->first) {
      return "the buckets of " + family.name + " are not in order";
    }
    series.buckets[value] = sample.value;
  }
  for (const auto& [labels, series] : all) {
    if (!series.sum || !series.count) return family.name + " lacks its sum or its count";
    if (series.buckets.empty() || series.buckets.rbegin()->first != HUGE_VAL) {
      return family.name + " lacks the bucket of +Inf";
    }
    if (series.buckets.rbegin()->second != *series.count) return family.name + ": +Inf != count";
    double before = 0;
    for (const auto& [limit, count] : series.buckets) {
      if (count < before) return family.name + " has a bucket below the one before it";
      before = count;
    }
  }
  return {};
}

inline Exposed read_exposition(const std::string& text) {
  Exposed exposed;
  const auto fail = [&](const std::string& what) {
    exposed.error = what;
    return exposed;
  };
  if (!text.empty() && text.back() != '\n') return fail("the last line does not end");
  const std::regex help("# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)");
  const std::regex type("# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)");
  const std::regex sample(R"(([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} ([0-9]+(\.[0-9]+)?))");
  std::set<std::string> families;
  std::set<std::string> seen;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (std::regex_match(line, found, help)) {
      if (!families.insert(found[1]).second) return fail("a family is there twice: " + line);
      exposed.families.push_back({found[1], found[2], "", {}});
      continue;
    }
    if (exposed.families.empty()) return fail("before any family: " + line);
    ExposedFamily& family = exposed.families.back();
    if (std::regex_match(line, found, type)) {
      if (found[1] != family.name || !family.type.empty()) return fail("out of place: " + line);
      family.type = found[2];
      continue;
    }
    if (!std::regex_match(line, found, sample)) return fail("no sample: " + line);
    const std::string name = found[1];
    std::set<std::string> names = {family.name};
    if (family.type == "histogram") {
      names = {family.name + "_bucket", family.name + "_sum", family.name + "_count"};
    }
    if (family.type.empty() || !names.contains(name)) return fail("in another family: " + line);
    const auto labels = read_labels(found[2].str());
    if (!labels) return fail("bad labels: " + line);
    if (!seen.insert(line.substr(0, line.rfind(' '))).second) return fail("twice: " + line);
    family.samples.push_back({name, *labels, std::strtod(found[3].str().c_str(), nullptr)});
  }
  for (const ExposedFamily& family : exposed.families) {
    if (family.type != "histogram") continue;
    if (const std::string fault = fault_of_histogram(family); !fault.empty()) return fail(fault);
  }
  return exposed;
}

}  // namespace pleat::control
