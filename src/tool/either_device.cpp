// SPDX-License-Identifier: MIT OR Apache-2.0
#include "tool/either_device.h"

#include <cerrno>
#include <utility>

#include "control/socket.h"
#include "tool/errors.h"
#include "tool/names.h"

namespace pleat::tool {

Result<void> for_either_device(
    const std::vector<std::string>& names, const System& system, std::ostream& out,
    const std::function<Result<std::string>(const ZramDevice& device)>& for_zram,
    const std::function<Result<std::string>(const std::string& argument)>& for_pleat) {
  std::vector<Error> errors;
  for (const std::string& name : names) {
    const auto zram = ZramDevice::named(name, system);
    const Result<std::string> done = zram ? for_zram(*zram) : for_pleat(name);
    if (done) {
      // Each as soon as it is done: one may take minutes.
      out << name << ": " << *done << std::endl;
    } else {
      errors.push_back(done.error());
    }
  }
  return all_of(std::move(errors));
}

Result<std::uint64_t> ask_for_number(const std::string& argument, const nlohmann::json& request,
                                     unsigned timeout_ms, const char* key, const char* what) {
  const Result<std::string> name = resolve_name(argument);
  if (!name) return name.error();
  const Result<nlohmann::json> answer = control::call(*name, request, timeout_ms);
  if (!answer) return answer.error();
  const auto number = answer->find(key);
  if (number == answer->end() || !number->is_number_unsigned()) {
    return Error{EBADMSG, "the daemon of " + *name + " does not say " + what};
  }
  return number->get<std::uint64_t>();
}

}  // namespace pleat::tool
