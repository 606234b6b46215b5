// SPDX-License-Identifier: MIT OR Apache-2.0
// Streams and events of the GPU that a CPU stands in for.
//
// A GPU does what is put into a stream at some time before somebody has waited for it. Here that is
// as late as it may be, unless the stream works at once: what does not wait for the work that it
// needs finds it undone. Thread safety: one thread at a time.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

namespace pleat::gpu::device {

class EmulatedStream {
 public:
  explicit EmulatedStream(int device) : device_(device) {}

  // The number of the GPU that it is one of.
  int device() const { return device_; }
  void put(std::function<void()> work) { queue_.push_back(std::move(work)); }
  // Does the next piece of work; false where there is none.
  bool step() {
    if (queue_.empty()) return false;
    const std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    work();
    return true;
  }
  void finish() {
    while (step()) {
    }
  }

 private:
  int device_;
  std::deque<std::function<void()>> queue_;
};

// A place in a stream, and when the work before it was done. An event that was never recorded
// counts as reached, as CUDA has it.
class EmulatedEvent {
 public:
  using Clock = std::chrono::steady_clock;

  void record(EmulatedStream& stream) {
    mark_ = std::make_shared<Mark>();
    mark_->stream = &stream;
    stream.put([mark = mark_] {
      mark->time = Clock::now();
      mark->stream = nullptr;
    });
  }
  // What is put into the stream from now on comes after the place that was recorded last.
  void hold_back(EmulatedStream& stream) const {
    stream.put([mark = mark_] { reach(mark.get()); });
  }
  void wait() const { reach(mark_.get()); }
  Clock::time_point time() const { return mark_->time; }

 private:
  struct Mark {
    EmulatedStream* stream;  // null once it has come here
    Clock::time_point time;
  };
  static void reach(const Mark* mark) {
    while (mark != nullptr && mark->stream != nullptr && mark->stream->step()) {
    }
  }
  std::shared_ptr<Mark> mark_;
};

}  // namespace pleat::gpu::device
