// SPDX-License-Identifier: MIT OR Apache-2.0
// A codec benchmark's report as tables and as JSON.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "tool/codec_bench.h"
#include "tool/machine.h"

namespace pleat::tool {

// The machine, how it was measured, the means over all page sets, and one table a measure with a
// column a page set.
std::string to_text(const CodecBenchReport& report, const Machine& machine);

// {"machine":{...},"method":{...},"mean":[codec...],"corpora":[{"name","synthetic","pages","same_filled",
// "codecs":[codec...]}]}; a codec's keys are the fields of CodecResult, a direction's those of
// CallTimes.
nlohmann::json to_json(const CodecBenchReport& report, const Machine& machine);

}  // namespace pleat::tool
