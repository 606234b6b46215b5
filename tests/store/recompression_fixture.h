// SPDX-License-Identifier: MIT OR Apache-2.0
// What the tests of recompression share: a store with a second codec, and a session of it.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>

#include "store/pages.h"
#include "store/store_inspector.h"

namespace pleat::store {

inline StoreOptions recompressing_store(std::uint64_t slots,
                                        const std::string& recompress = "lz4hc") {
  StoreOptions options = small_store(slots);
  options.codec = "lz4:fast";
  options.recompress = recompress;
  return options;
}

class RecompressionTest : public testing::Test {
 protected:
  void open(const StoreOptions& options) {
    session_.reset();
    store_ = make_store(options);
    // No page is to become older but where a test says so.
    StoreInspector::state(*store_).ager.end();
    session_ = make_session(*store_);
  }
  void put(std::uint64_t slot, const TestPage& page) {
    ASSERT_EQ(session_->write(slot, page.data()), StoreStatus::kOk);
  }
  RecompressResult recompress(const RecompressRequest& request = {}) {
    const auto result = store_->recompress(request);
    EXPECT_TRUE(result) << result.error().message;
    return result ? *result : RecompressResult{};
  }
  SlotWord word(std::uint64_t slot) { return StoreInspector::word(*store_, slot); }

  std::unique_ptr<Store> store_;
  std::unique_ptr<Store::Session> session_;
};

}  // namespace pleat::store
