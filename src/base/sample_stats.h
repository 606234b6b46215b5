// SPDX-License-Identifier: MIT OR Apache-2.0
// The few statistics that benchmark reports are made of.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace pleat {

// The sample of rank ceil(fraction * count), fraction in (0, 1]; 0 where there is none. Reorders
// the samples.
template <typename T>
T quantile(std::vector<T>& samples, double fraction) {
  if (samples.empty()) return T{};
  const double rank = std::ceil(fraction * static_cast<double>(samples.size()));
  const auto index = static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
  std::nth_element(samples.begin(), samples.begin() + index, samples.end());
  return samples[static_cast<std::size_t>(index)];
}

template <typename T>
T median(std::vector<T> samples) {
  return quantile(samples, 0.5);
}

// 0 where there is none, or where one of them is not positive.
inline double geometric_mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) {
    if (!(value > 0)) return 0;
    sum += std::log(value);
  }
  return values.empty() ? 0 : std::exp(sum / static_cast<double>(values.size()));
}

}  // namespace pleat
