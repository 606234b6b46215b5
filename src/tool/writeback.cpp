// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/writeback.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/page.h"
#include "base/units.h"
#include "control/socket.h"
#include "tool/either_device.h"
#include "tool/names.h"

namespace pleat::tool {
namespace {

// The daemon answers after 250 ms of work, which gets the processor last.
constexpr unsigned kWritebackTimeout_ms = 60'000;

Result<std::string> write_zram_back(const ZramDevice& device, const WritebackOptions& options) {
  if (options.pages_max) {
    return Error{EOPNOTSUPP,
                 "kernel zram has no --max-pages; it has a limit in its attribute "
                 "writeback_limit"};
  }
  // bd_writes, the third number.
  const auto pages_written = [&device] { return device.number("bd_stat", 2); };
  const Result<std::uint64_t> before = pages_written();
  std::string text = options.type;
  if (!options.ranges.empty() && !text.empty()) text = "type=" + text;
  for (const PageRange& range : options.ranges) {
    text += fmt::format("{}page_indexes={}-{}", text.empty() ? "" : " ", range.first, range.last);
  }
  auto written = device.write("writeback", text);
  if (!written) return written.error();
  if (!before) return before.error();
  const Result<std::uint64_t> after = pages_written();
  if (!after) return after.error();
  return fmt::format("{} pages written back", *after - std::min(*before, *after));
}

// What one answer says, or many of them.
struct Written {
  std::uint64_t pages = 0;
  std::uint64_t blocks = 0;
  std::uint64_t freed_bytes = 0;
  std::uint64_t next = 0;
  std::uint64_t error = 0;  // an errno
  std::string end;

  std::string text() const {
    return fmt::format("{} pages written back in {} blocks ({}), {} of memory freed", pages, blocks,
                       format_size(blocks * kPageSize), format_size(freed_bytes));
  }
};

Result<Written> written_of(const nlohmann::json& answer, const std::string& name) {
  Written slice;
  bool good = true;
  for (const auto& [key, field] :
       {std::pair("pages_written", &slice.pages), std::pair("blocks_written", &slice.blocks),
        std::pair("bytes_freed", &slice.freed_bytes), std::pair("next", &slice.next),
        std::pair("error", &slice.error)}) {
    const auto found = answer.find(key);
    good = good && found != answer.end() && found->is_number_unsigned();
    if (good) *field = found->get<std::uint64_t>();
  }
  const auto end = answer.find("end");
  if (!good || end == answer.end() || !end->is_string()) {
    return Error{EBADMSG, "the daemon of " + name + " does not say what it has written back"};
  }
  slice.end = end->get<std::string>();
  return slice;
}

// What kept the rest from being written.
Error refusal(const Written& sum, const std::string& argument) {
  if (sum.end == "limit") {
    return {EDQUOT, fmt::format("the writeback limit is used up ({}); raise it with: pleat set {} "
                                "writeback-limit=SIZE",
                                sum.text(), argument)};
  }
  if (sum.end == "full") {
    return {ENOSPC, fmt::format("the writeback device is full ({})", sum.text())};
  }
  return with_context(errno_error(static_cast<int>(sum.error), "the writeback device fails"),
                      sum.text());
}

// Adds what the daemon writes of one range.
Result<void> write_range_back(const std::string& name, const WritebackOptions& options,
                              std::optional<PageRange> range, Written* sum) {
  nlohmann::json request{{"op", "writeback"}};
  if (!options.type.empty()) request["type"] = options.type;
  if (range) {
    request["first"] = range->first;
    request["end"] = range->last + 1;
  }
  do {
    if (options.pages_max) request["max_pages"] = *options.pages_max - sum->pages;
    const Result<nlohmann::json> answer = control::call(name, request, kWritebackTimeout_ms);
    if (!answer) return answer.error();
    const Result<Written> slice = written_of(*answer, name);
    if (!slice) return slice.error();
    *sum = {sum->pages + slice->pages,
            sum->blocks + slice->blocks,
            sum->freed_bytes + slice->freed_bytes,
            slice->next,
            slice->error,
            slice->end};
    request["first"] = sum->next;
  } while (sum->end == "paused" && (!options.pages_max || sum->pages < *options.pages_max));
  return {};
}

Result<std::string> write_pleat_back(const std::string& argument, const WritebackOptions& options) {
  const Result<std::string> name = resolve_name(argument);
  if (!name) return name.error();
  std::vector<std::optional<PageRange>> ranges(options.ranges.begin(), options.ranges.end());
  if (ranges.empty()) ranges.emplace_back();
  Written sum;
  for (const std::optional<PageRange>& range : ranges) {
    if (auto written = write_range_back(*name, options, range, &sum); !written) {
      return with_context(written.error(), sum.text());
    }
    if (sum.end == "paused" || (options.pages_max && sum.pages >= *options.pages_max)) break;
    if (sum.end != "done") return refusal(sum, argument);
  }
  return sum.text();
}

}  // namespace

Result<PageRange> parse_page_range(const std::string& text) {
  const Error bad{EINVAL, "'" + text + "' is no range of pages; write N or FIRST-LAST"};
  const auto number = [](std::string_view digits, std::uint64_t* value) {
    const char* const end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, *value);
    // One more is a number too.
    return error == std::errc() && at == end && *value != UINT64_MAX;
  };
  const std::size_t dash = text.find('-');
  const std::string_view view = text;
  PageRange range;
  if (!number(view.substr(0, dash), &range.first)) return bad;
  range.last = range.first;
  if (dash != std::string::npos && !number(view.substr(dash + 1), &range.last)) return bad;
  if (range.last < range.first) return bad;
  return range;
}

Result<void> write_devices_back(const WritebackOptions& options, const System& system,
                                std::ostream& out) {
  return for_either_device(
      options.names, system, out,
      [&options](const ZramDevice& device) { return write_zram_back(device, options); },
      [&options](const std::string& argument) { return write_pleat_back(argument, options); });
}

}  // namespace pleat::tool
