// SPDX-License-Identifier: MIT OR Apache-2.0
// The choice of a tier: what PLEAT_ISA does, in this process and seen from outside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <set>
#include <string>

#include "codec/kernels.h"

namespace pleat::codec {
namespace {

using testing::HasSubstr;

struct Output {
  int exit_code;
  std::string text;
};

Output run(const std::string& command) {
  Output output{-1, {}};
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return output;
  char buffer[256];
  while (fgets(buffer, sizeof(buffer), pipe) != nullptr) output.text += buffer;
  const int status = pclose(pipe);
  if (WIFEXITED(status)) output.exit_code = WEXITSTATUS(status);
  return output;
}

const std::string kProbe = PLEAT_ISA_PROBE;

TEST(Isa, TiersAreOrderedNamedAndComplete) {
  const auto kernels = available_kernels();
  ASSERT_FALSE(kernels.empty());
  EXPECT_STREQ(kernels.front()->name, "scalar");
  std::set<std::string> names;
  for (const Kernels* tier : kernels) {
    EXPECT_TRUE(names.insert(tier->name).second) << tier->name;
    EXPECT_NE(tier->same_filled, nullptr);
    EXPECT_NE(tier->fill, nullptr);
    EXPECT_NE(tier->lz4_compress, nullptr);
    EXPECT_NE(tier->lz4hc_compress, nullptr);
    EXPECT_NE(tier->lz4_decompress, nullptr);
    EXPECT_NE(tier->zstd_compress, nullptr);
    EXPECT_NE(tier->zstd_compress_group, nullptr);
    EXPECT_NE(tier->zstd_compress_dense, nullptr);
    EXPECT_NE(tier->zstd_compress_dense_group, nullptr);
    EXPECT_NE(tier->zstd_compress_canned, nullptr);
    EXPECT_NE(tier->zstd_decompress_block, nullptr);
  }
}

TEST(Isa, SelectTakesANameOrTheBest) {
  for (const Kernels* tier : available_kernels()) {
    const auto selected = select_kernels(tier->name);
    ASSERT_TRUE(selected);
    EXPECT_EQ(*selected, tier);
  }
  const auto best = select_kernels("");
  ASSERT_TRUE(best);
  EXPECT_EQ(*best, available_kernels().back());
}

TEST(Isa, UnknownNamesAreErrorsThatListTheTiers) {
#if defined(__x86_64__)
  const char* const foreign = "neon";
#else
  const char* const foreign = "avx2";
#endif
  for (const char* name : {"sse9", "AVX2", "scalar ", foreign}) {
    const auto selected = select_kernels(name);
    ASSERT_FALSE(selected) << name;
    EXPECT_EQ(selected.error().code, ENOTSUP);
    EXPECT_THAT(selected.error().message, HasSubstr("'" + std::string(name) + "'"));
    for (const Kernels* tier : available_kernels()) {
      EXPECT_THAT(selected.error().message, HasSubstr(tier->name));
    }
  }
}

TEST(Isa, TheEnvironmentDecidesInAProgramOfItsOwn) {
  for (const Kernels* tier : available_kernels()) {
    const Output output = run("PLEAT_ISA=" + std::string(tier->name) + " " + kProbe);
    EXPECT_EQ(output.exit_code, 0) << output.text;
    EXPECT_EQ(output.text, std::string(tier->name) + "\n");
  }
  const Output best = run("env -u PLEAT_ISA " + kProbe);
  EXPECT_EQ(best.exit_code, 0) << best.text;
  EXPECT_EQ(best.text, std::string(available_kernels().back()->name) + "\n");
  const Output wrong = run("PLEAT_ISA=mmx " + kProbe);
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.text, HasSubstr("PLEAT_ISA: instruction set 'mmx' is unknown"));
  EXPECT_THAT(wrong.text, HasSubstr("scalar"));
}

#if defined(__x86_64__) && !defined(PLEAT_SANITIZED)
// On an emulated processor without a tier's instructions, the tier is neither chosen nor needed:
// an instruction of a higher tier that leaked into common code would end the probe with SIGILL.
TEST(Isa, LesserProcessorsGetLesserTiers) {
  if (run("command -v qemu-x86_64").exit_code != 0) {
    GTEST_SKIP() << "qemu-x86_64 (package qemu-user) is not installed";
  }
  const std::string emulate = "env -u PLEAT_ISA timeout 60 qemu-x86_64 -cpu ";
  const Output old = run(emulate + "Nehalem " + kProbe);
  EXPECT_EQ(old.exit_code, 0) << old.text;
  EXPECT_EQ(old.text, "scalar\n");
  const Output haswell =
      run(emulate + "Haswell,-pcid,-x2apic,-tsc-deadline,-invpcid,-hle,-rtm " + kProbe);
  EXPECT_EQ(haswell.exit_code, 0) << haswell.text;
  EXPECT_THAT(haswell.text, HasSubstr("avx2\n"));
  const Output refused = run("PLEAT_ISA=avx2 timeout 60 qemu-x86_64 -cpu Nehalem " + kProbe);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.text, HasSubstr("'avx2' is unknown or not supported"));
}
#endif

}  // namespace
}  // namespace pleat::codec
