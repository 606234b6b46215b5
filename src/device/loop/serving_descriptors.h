// SPDX-License-Identifier: MIT OR Apache-2.0
// The descriptors of a serving thread, which has a table of its own.
//
// A FUSE connection ends when its last descriptor is closed, and only then does what waits for it
// fail: where no stand-by holds one, or none is to serve any more. A process that is killed closes
// its table when its last thread ends. A thread that waits for the device, because it closes or
// detaches it or because a page of it is swapped out, cannot end before that. If they shared a
// table, the kill of the process would stop the serving threads, keep the connection open and never
// come to its end. With tables of their own the serving threads take the connection with them, and
// the others wake with an error.
#pragma once

#include <initializer_list>

#include "base/result.h"

namespace pleat::device {

// Gives the calling thread a table of its own with nothing but `kept`, under their numbers, and
// standard error; one that is -1 is none. They are closed when the thread ends. From then on no
// other descriptor of the process means anything in this thread.
Result<void> take_serving_descriptors(std::initializer_list<int> kept);

}  // namespace pleat::device
