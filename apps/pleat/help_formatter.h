// SPDX-License-Identifier: MIT OR Apache-2.0
// The help text's form: an option, what it takes, its default, and what it does. What values are
// allowed stands in the description, once, and not in a notation of its own.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace pleat {

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(30); }

  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_items_expected_max() == 0 || option->get_type_size_max() == 0) return {};
    // CLI11 writes the checks behind the type's name, after a colon.
    const std::string type = option->get_type_name();
    std::string text = " " + type.substr(0, type.find(':'));
    if (!option->get_default_str().empty()) text += "=" + option->get_default_str();
    return text;
  }

  std::string make_option_usage(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();
    const std::string name = option->get_name() + (type == "..." ? "..." : "");
    return option->get_required() ? name : "[" + name + "]";
  }

  // A positional argument has its name for a type already.
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    return is_positional ? option->get_name(true) : option->get_name(false, true);
  }
};

}  // namespace pleat
