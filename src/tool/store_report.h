// SPDX-License-Identifier: MIT OR Apache-2.0
// A store benchmark's report as tables and as JSON.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "tool/machine.h"
#include "tool/store_bench.h"

namespace pleat::tool {

// The mean over the page sets, without synthetic ones where there are real ones: geometric of CPU
// time, throughput and ratio; the median of p50 and spread, the largest p99 and p99.9; arithmetic
// of shares and background_us.
StoreCorpusResult mean_of(const std::vector<StoreCorpusResult>& corpora);

std::string to_text(const StoreBenchReport& report, const Machine& machine);

// {"machine":{...},"method":{...},"mean":corpus,"corpora":[corpus...]}; a corpus's keys are the
// fields of StoreCorpusResult, with "write", "overwrite", "read" and "discard" for its operations.
nlohmann::json to_json(const StoreBenchReport& report, const Machine& machine);

}  // namespace pleat::tool
