// SPDX-License-Identifier: MIT OR Apache-2.0
// Codec specifications as people write them: "name[:level][,key=value...]".
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace pleat::codec {

struct CodecSpec {
  std::string name;
  std::string level;                                         // empty where none was given
  std::vector<std::pair<std::string, std::string>> options;  // in the order given
};

// Splits a specification and checks its form only. EINVAL, with what is wrong, for an empty name or
// level, a key without value, or a character other than a letter, digit, '-', '_' or '.', or '/' in
// a value.
Result<CodecSpec> parse_codec_spec(std::string_view text);

}  // namespace pleat::codec
