// SPDX-License-Identifier: MIT OR Apache-2.0
#include "base/error.h"

#include <cerrno>
#include <system_error>
#include <utility>

namespace pleat {

Error errno_error(int code, std::string what) {
  // std::generic_category().message() is the thread-safe strerror.
  return Error{code, std::move(what) + ": " + std::generic_category().message(code)};
}

Error errno_error(std::string what) {
  const int code = errno;
  return errno_error(code, std::move(what));
}

Error with_context(Error error, const std::string& context) {
  error.message = context + ": " + error.message;
  return error;
}

}  // namespace pleat
