// SPDX-License-Identifier: MIT OR Apache-2.0
// Makes a dictionary of tables for pages: what `pleat train` does.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "codec/kernels.h"

namespace pleat::codec {

// Pages of one program, one behind the other.
using ZstdTrainingSet = std::span<const std::byte>;

// A zstd dictionary (RFC 8878, 5) of the tables by which the sets become smallest, each set of the
// same weight however many pages it has. Its content is the 8 bytes that the format wants, and its
// id, from 32768 to 65535, is of its tables. The same pages give the same dictionary. EINVAL where
// no page teaches anything: those that are same-filled or noise do not.
Result<std::vector<std::byte>> train_zstd_dictionary(std::span<const ZstdTrainingSet> sets,
                                                     const Kernels& kernels);

}  // namespace pleat::codec
