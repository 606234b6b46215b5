// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/recompress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/units.h"
#include "control/socket.h"
#include "tool/device.h"
#include "tool/either_device.h"
#include "tool/names.h"

namespace pleat::tool {
namespace {

// The daemon answers after 250 ms of work, which gets the processor last.
constexpr unsigned kSliceTimeout_ms = 60'000;

Result<std::string> recompress_zram(const ZramDevice& device, const RecompressOptions& options) {
  if (options.gpu) {
    return Error{EOPNOTSUPP,
                 device.name() + " is kernel zram's, which compresses by itself; leave --gpu out"};
  }
  std::string text = fmt::format("threshold={}", options.threshold_bytes.value_or(0));
  if (!options.type.empty()) text += " type=" + options.type;
  if (options.pages_max) text += fmt::format(" max_pages={}", *options.pages_max);
  if (options.algorithm) text += " algo=" + *options.algorithm;
  // compr_data_size, the second number.
  const auto compressed_bytes = [&device] { return device.number("mm_stat", 1); };
  const Result<std::uint64_t> before = compressed_bytes();
  auto written = device.write("recompress", text);
  if (!written && written.error().code == EINVAL) {
    return Error{EINVAL, device.name() + " does not recompress so; it needs a second algorithm, " +
                             "written to recomp_algorithm before it had a size (" +
                             written.error().message + ")"};
  }
  if (!written) return written.error();
  if (!before) return before.error();
  const Result<std::uint64_t> after = compressed_bytes();
  if (!after) return after.error();
  return format_size(*before - std::min(*before, *after)) + " saved";
}

// What one answer says.
struct Slice {
  std::uint64_t recompressed;
  std::uint64_t kept;
  std::uint64_t parted;
  std::uint64_t saved_bytes;
  std::uint64_t next;
  bool is_done;
};

Result<Slice> slice_of(const nlohmann::json& answer, const std::string& name) {
  Slice slice{};
  bool good = true;
  for (const auto& [key, field] :
       {std::pair("pages_recompressed", &slice.recompressed), std::pair("pages_kept", &slice.kept),
        std::pair("pages_parted", &slice.parted), std::pair("bytes_saved", &slice.saved_bytes),
        std::pair("next", &slice.next)}) {
    const auto found = answer.find(key);
    // Daemons of earlier builds do not know of them.
    if (found == answer.end() && field == &slice.parted) continue;
    good = good && found != answer.end() && found->is_number_unsigned();
    if (good) *field = found->get<std::uint64_t>();
  }
  const auto done = answer.find("done");
  if (!good || done == answer.end() || !done->is_boolean()) {
    return Error{EBADMSG, "the daemon of " + name + " does not say what it has recompressed"};
  }
  slice.is_done = done->get<bool>();
  return slice;
}

// A GPU for what the device recompresses with.
Result<std::unique_ptr<GpuBatchServer>> gpu_for(const std::string& name,
                                                const GpuBatchOptions& options) {
  const Result<control::DeviceStatus> status = query_status(name);
  if (!status) return status.error();
  const std::string& spec = status->recomp_algorithm;
  const std::string codec = spec.substr(0, spec.find_first_of(":,"));
  if (codec != "line" && codec != "lz4") {
    const std::string with = spec.empty() ? "with nothing" : "with " + spec;
    return Error{EOPNOTSUPP, name + " recompresses " + with +
                                 ", and a GPU has the codecs line and lz4: make the device with "
                                 "--recompress line"};
  }
  return GpuBatchServer::start(codec, options);
}

Result<std::string> recompress_pleat(const std::string& argument,
                                     const RecompressOptions& options) {
  const Result<std::string> name = resolve_name(argument);
  if (!name) return name.error();
  std::unique_ptr<GpuBatchServer> gpu;
  std::vector<int> files;
  nlohmann::json request{{"op", "recompress"}};
  if (!options.type.empty()) request["type"] = options.type;
  if (options.threshold_bytes) request["threshold"] = *options.threshold_bytes;
  if (options.algorithm) request["algorithm"] = *options.algorithm;
  if (options.gpu) {
    auto started = gpu_for(*name, *options.gpu);
    if (!started) return std::move(started).error();
    gpu = *std::move(started);
    request["batches"] = gpu->request();
    for (const int file : gpu->files()) files.push_back(file);
  }
  Slice sum{};
  while (!sum.is_done && (!options.pages_max || sum.recompressed + sum.kept < *options.pages_max)) {
    if (options.pages_max) request["max_pages"] = *options.pages_max - sum.recompressed - sum.kept;
    if (sum.next != 0) request["first"] = sum.next;
    const Result<nlohmann::json> answer = control::call(*name, request, kSliceTimeout_ms, files);
    if (!answer) {
      Error error = with_context(
          answer.error(), fmt::format("{}: after {} pages", argument, sum.recompressed + sum.kept));
      const std::string why = gpu ? gpu->error() : "";
      if (!why.empty()) error.message += "; the GPU: " + why;
      return error;
    }
    const Result<Slice> slice = slice_of(*answer, *name);
    if (!slice) return slice.error();
    sum = {sum.recompressed + slice->recompressed,
           sum.kept + slice->kept,
           sum.parted + slice->parted,
           sum.saved_bytes + slice->saved_bytes,
           slice->next,
           slice->is_done};
  }
  std::string text = fmt::format("{} pages recompressed ({} saved), {} left as they are",
                                 sum.recompressed, format_size(sum.saved_bytes), sum.kept);
  if (sum.parted != 0) text += fmt::format(", {} of groups that had lost pages", sum.parted);
  if (gpu) text += ", by " + gpu->gpu_name();
  return text;
}

}  // namespace

Result<void> recompress_devices(const RecompressOptions& options, const System& system,
                                std::ostream& out) {
  return for_either_device(
      options.names, system, out,
      [&options](const ZramDevice& device) { return recompress_zram(device, options); },
      [&options](const std::string& argument) { return recompress_pleat(argument, options); });
}

}  // namespace pleat::tool
