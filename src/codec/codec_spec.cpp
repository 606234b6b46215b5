// SPDX-License-Identifier: MIT OR Apache-2.0
#include "codec/codec_spec.h"

#include <algorithm>
#include <cerrno>

namespace pleat::codec {
namespace {

// ASCII only, whatever the locale: a specification means the same everywhere.
bool is_word(std::string_view text, bool may_be_path = false) {
  return !text.empty() && std::ranges::all_of(text, [may_be_path](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || (may_be_path && c == '/');
  });
}

// What stands before the first `separator`; `text` becomes what stands behind it, and `found` tells
// whether there was one.
std::string_view cut(std::string_view& text, char separator, bool& found) {
  const std::size_t at = text.find(separator);
  found = at != std::string_view::npos;
  const std::string_view head = text.substr(0, at);
  text = found ? text.substr(at + 1) : std::string_view();
  return head;
}

}  // namespace

Result<CodecSpec> parse_codec_spec(std::string_view text) {
  const auto refuse = [text](const char* why) {
    return Error{EINVAL, "codec specification '" + std::string(text) + "': " + why +
                             "; the form is name[:level][,key=value...]"};
  };
  std::string_view rest = text;
  bool has_options = false;
  std::string_view level = cut(rest, ',', has_options);
  bool has_level = false;
  const std::string_view name = cut(level, ':', has_level);
  if (!is_word(name)) return refuse("the name is missing or has a character that no name has");
  if (has_level && !is_word(level)) return refuse("the level behind ':' is missing or malformed");

  CodecSpec spec{std::string(name), std::string(level), {}};
  while (has_options) {
    std::string_view value = cut(rest, ',', has_options);
    bool has_value = false;
    const std::string_view key = cut(value, '=', has_value);
    if (!is_word(key) || !is_word(value, true)) return refuse("an option is not key=value");
    for (const auto& option : spec.options) {
      if (option.first == key) return refuse("an option is given twice");
    }
    spec.options.emplace_back(key, value);
  }
  return spec;
}

}  // namespace pleat::codec
