// SPDX-License-Identifier: MIT OR Apache-2.0
// What the tests of commands that show devices have in common: no devices but fake ones, a /proc of
// their own, and the text that a command writes.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <sstream>
#include <string>

#include "base/result.h"
#include "control/runtime_directory.h"
#include "tool/fake_daemon.h"
#include "tool/fake_system.h"

namespace pleat::tool {

class ShowTest : public ::testing::Test {
 protected:
  // What `command` writes; what it returns is in result_.
  template <typename Options>
  std::string shown(Result<void> (*command)(const Options&, const System&, std::ostream&),
                    const Options& options) {
    std::ostringstream out;
    result_ = command(options, kernel_.system(), out);
    return out.str();
  }

  control::RuntimeDirectory directory_;
  FakeSystem kernel_;
  Result<void> result_;
};

}  // namespace pleat::tool
