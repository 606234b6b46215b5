// SPDX-License-Identifier: MIT OR Apache-2.0
// Tables of benchmark reports: Markdown, with columns aligned so that they read in a terminal too.
#pragma once

#include <string>
#include <vector>

namespace pleat::tool {

// The first row is the head; all rows have as many cells. Columns that hold a number in the last
// row are aligned to the right.
std::string markdown_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace pleat::tool
