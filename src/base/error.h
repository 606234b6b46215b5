// SPDX-License-Identifier: MIT OR Apache-2.0
// An error of the control plane: what went wrong, said to the person who has to mend it, and its
// errno.
#pragma once

#include <string>

namespace pleat {

struct Error {
  // A positive errno value that says of what kind the failure is.
  int code = 0;
  // One line without a full stop or newline, from the outermost action to the cause, and what to do
  // about it where that is known: "cannot open /dev/ublk-control: Permission denied; run as root".
  std::string message;
};

// `what` with the text of `code` (a positive errno) behind it: "what: No such file or directory".
Error errno_error(int code, std::string what);

// The same for the calling thread's current errno.
Error errno_error(std::string what);

// `error` with `context` and a colon put in front.
Error with_context(Error error, const std::string& context);

}  // namespace pleat
