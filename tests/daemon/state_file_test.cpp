// SPDX-License-Identifier: MIT OR Apache-2.0
#include "daemon/state_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "control/socket.h"
#include "daemon/fake_roots.h"
#include "daemon/name_lock.h"
#include "daemon/sweep.h"

namespace pleat::daemon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class StateFile : public testing::Test {
 protected:
  bool exists(const std::string& file) const {
    return std::filesystem::exists(runtime_.path() + "/" + file);
  }
  void make(const std::string& file, const std::string& text = "") const {
    std::ofstream(runtime_.path() + "/" + file) << text;
  }

  TemporaryRuntimeDirectory runtime_;
};

State example() {
  State state;
  state.name = "demo";
  state.guardian = {11, 900};
  state.worker = {12, 901};
  state.transport = "loop";
  state.id = 3;
  state.path = "/dev/loop3";
  return state;
}

TEST_F(StateFile, ComesBackAsItWasWritten) {
  ASSERT_TRUE(save_state(example()));
  const auto state = load_state("demo");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->guardian, example().guardian);
  EXPECT_EQ(state->worker, example().worker);
  EXPECT_EQ(state->transport, "loop");
  EXPECT_EQ(state->id, 3);
  EXPECT_EQ(state->path, "/dev/loop3");
  EXPECT_EQ(leftovers_of(*state).kind, device::TransportKind::kLoop);
  EXPECT_EQ(leftovers_of(*state).id, 3);
  EXPECT_FALSE(exists("demo.json.new"));
}

TEST_F(StateFile, IsForRootOnly) {
  ASSERT_TRUE(save_state(example()));
  struct stat status {};
  ASSERT_EQ(stat((runtime_.path() + "/demo.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(StateFile, MissingAndBrokenFilesAreToldApart) {
  EXPECT_EQ(load_state("demo").error().code, ENOENT);
  for (const char* const text :
       {"", "{", "[]", "{\"name\":\"demo\"}",
        "{\"name\":\"other\",\"guardian\":{\"pid\":1,\"start_ticks\":1},"
        "\"worker\":{\"pid\":0,\"start_ticks\":0},\"transport\":\"\",\"id\":-1,\"path\":\"\"}",
        "{\"name\":\"demo\",\"guardian\":{\"pid\":1,\"start_ticks\":1},"
        "\"worker\":{\"pid\":0,\"start_ticks\":0},\"transport\":\"nbd\",\"id\":-1,\"path\":"
        "\"\"}"}) {
    make("demo.json", text);
    EXPECT_EQ(load_state("demo").error().code, EBADMSG) << text;
  }
}

TEST_F(StateFile, AWriteThatFailsLeavesTheOldStateWhole) {
  ASSERT_TRUE(save_state(example()));
  // Nothing can be written where the unfinished file would be.
  std::filesystem::create_directory(runtime_.path() + "/demo.json.new");
  State changed = example();
  changed.id = 4;
  EXPECT_FALSE(save_state(changed));
  EXPECT_EQ(load_state("demo")->id, 3);
}

TEST_F(StateFile, NamesComeFromEveryKindOfLeftover) {
  for (const char* const file : {"a.json", "b.sock", "c.lock", "d.json.new", "a.lock", "e.log",
                                 ".lock", "-x.json", "f.txt"}) {
    make(file);
  }
  EXPECT_THAT(names_in_runtime_directory(), ElementsAre("a", "b", "c", "d"));
}

TEST_F(StateFile, ALockIsHeldOnceAndFreeAgainWhenItIsRemoved) {
  auto lock = NameLock::take("demo", 0);
  ASSERT_TRUE(lock);
  EXPECT_EQ(NameLock::take("demo", 0).error().code, EADDRINUSE);
  EXPECT_EQ(NameLock::take("demo", 20).error().code, EADDRINUSE);
  EXPECT_TRUE(NameLock::take("other", 0));
  lock->remove();
  EXPECT_FALSE(exists("demo.lock"));
  EXPECT_TRUE(NameLock::take("demo", 0));
}

TEST_F(StateFile, ALockLivesInAChildAndDiesWithIt) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  pid_t child = -1;
  {
    auto lock = NameLock::take("demo", 0);
    ASSERT_TRUE(lock);
    child = fork();
    if (child == 0) {
      char byte;
      close(ends[1]);
      _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    lock->forget();
  }
  EXPECT_FALSE(NameLock::take("demo", 0));
  close(ends[1]);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(NameLock::take("demo", 0));
  close(ends[0]);
}

TEST_F(StateFile, ASweepRemovesWhatTheDeadLeftAndNothingOfTheLiving) {
  State dead = example();
  dead.transport.clear();  // died before it made a device
  dead.id = -1;
  ASSERT_TRUE(save_state(dead));
  make("demo.sock");
  make("demo.lock");
  make("old.sock");
  make("broken.json", "{");
  State living = example();
  living.name = "living";
  ASSERT_TRUE(save_state(living));
  make("living.sock");
  const auto lock = NameLock::take("living", 0);
  ASSERT_TRUE(lock);

  const SweepResult swept = sweep(SweepOf::kUnused);
  EXPECT_THAT(swept.removed, ElementsAre("broken", "demo", "old"));
  EXPECT_THAT(swept.failures, IsEmpty());
  EXPECT_THAT(names_in_runtime_directory(), ElementsAre("living"));
  EXPECT_TRUE(exists("living.json"));
  EXPECT_TRUE(exists("living.sock"));
}

TEST_F(StateFile, ASweepSparesAProcessThatLivesWithoutItsLock) {
  State state = example();
  state.transport.clear();
  state.worker = *process_id(getpid());
  ASSERT_TRUE(save_state(state));
  EXPECT_THAT(sweep(SweepOf::kUnused).removed, IsEmpty());
  EXPECT_TRUE(exists("demo.json"));
  // A number that another process has now is no sign of life.
  state.worker.start_ticks += 1;
  ASSERT_TRUE(save_state(state));
  EXPECT_THAT(sweep(SweepOf::kUnused).removed, ElementsAre("demo"));
}

}  // namespace
}  // namespace pleat::daemon
