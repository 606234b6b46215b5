#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Shows that tools/instruction-counts fails where a codec takes more or fewer instructions than recorded.

Each case records the counts of this build for one codec, alters the record and checks against that. Usage:
instruction_counts_test.py BUILD
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv.pop())
SKIPPED = 77


class InstructionCounts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.record = pathlib.Path(folder.name) / "recorded.txt"
        result = cls.run_tool("--update")
        if result.returncode != 0:
            raise AssertionError(result.stderr)
        cls.text = cls.record.read_text()

    def setUp(self):
        self.record.write_text(self.text)

    @classmethod
    def run_tool(cls, *arguments, codec=("--codec", "lz4"), **options):
        command = [sys.executable, ROOT / "tools/instruction-counts", "--build", BUILD, "--expected", cls.record,
                   *codec, *arguments]
        return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              **options)

    def rows(self):
        """The lines of the record that hold counts, as words: codec, tier, compress, decompress."""
        return [line.split() for line in self.record.read_text().splitlines() if line.startswith("lz4 ")]

    def recorded(self, tier):
        """What is recorded for lz4 to compress and to decompress."""
        compress, decompress = next(row[2:] for row in self.rows() if row[1] == tier)
        return int(compress), int(decompress)

    def set_recorded(self, tier, compress, decompress):
        lines = self.record.read_text().splitlines()
        lines = [f"lz4 {tier} {compress} {decompress}" if line.split()[:2] == ["lz4", tier] else line
                 for line in lines]
        self.record.write_text("\n".join(lines) + "\n")

    def expect_failure(self, part, unlike):
        result = self.run_tool("--check")
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(part, result.stderr)
        self.assertNotIn(unlike, result.stderr)

    def test_counts_repeat_and_pass(self):
        self.assertEqual(self.run_tool("--check").returncode, 0)
        self.record.unlink()
        self.assertEqual(self.run_tool("--update").returncode, 0)
        self.assertEqual(self.record.read_text(), self.text)

    def test_a_loss_fails_and_names_codec_tier_and_direction(self):
        compress, decompress = self.recorded("avx2")
        self.set_recorded("avx2", compress, round(decompress / 1.04))
        self.expect_failure(f"lz4 avx2 decompress: {decompress} instructions a page, 4.0 % more than", "scalar")

    def test_a_gain_that_is_not_recorded_fails(self):
        compress, decompress = self.recorded("scalar")
        self.set_recorded("scalar", round(compress / 0.96), decompress)
        self.expect_failure(f"lz4 scalar compress: {compress} instructions a page, 4.0 % fewer than", "avx2")

    def test_what_is_within_the_tolerance_passes_and_stays_recorded(self):
        compress, decompress = self.recorded("scalar")
        small, large = round(compress / 1.02), round(decompress / 1.5)
        self.set_recorded("scalar", small, decompress)
        self.assertEqual(self.run_tool("--check").returncode, 0)
        # Recording a loss does not record the small one beside it, or many of those would go unseen.
        self.set_recorded("scalar", small, large)
        self.assertEqual(self.run_tool("--update").returncode, 0)
        self.assertEqual(self.recorded("scalar"), (small, decompress))

    def test_a_codec_that_is_not_recorded_fails(self):
        self.record.write_text(self.text.replace("lz4 ", "line:1 "))
        self.expect_failure("lz4 scalar compress", "line:1")
        # Recording it keeps the lines of others.
        self.assertEqual(self.run_tool("--update").returncode, 0)
        self.assertIn("line:1 ", self.record.read_text())
        self.assertNotEqual(self.rows(), [])

    def test_a_tier_that_cannot_run_is_skipped(self):
        self.record.write_text(self.text + "lz4 neon 1 1\n")
        result = self.run_tool("--check")
        self.assertEqual(result.returncode, SKIPPED)
        self.assertIn("skipped: recorded for a processor with neon", result.stderr)

    def test_a_codec_that_is_gone_fails(self):
        self.record.write_text(self.text.replace("lz4 ", "lz4:old "))
        result = self.run_tool("--check", codec=())
        self.assertEqual(result.returncode, 1)
        self.assertIn("lz4:old avx2 decompress: ", result.stderr)
        self.assertIn("no longer counted", result.stderr)

    def test_a_conflict_of_a_merge_is_an_error(self):
        self.record.write_text("<<<<<<< ours\n" + self.text)
        self.expect_failure("recorded.txt:1: ", "skipped")

    def test_a_record_that_does_not_say_what_it_is_of_is_an_error(self):
        self.record.write_text(self.text.replace("built by: ", "# "))
        self.expect_failure("no line 'built by: '", "skipped")

    def test_the_build_of_another_compiler_is_skipped(self):
        self.record.write_text(self.text.replace("built by: ", "built by: Clang or "))
        result = self.run_tool("--check")
        self.assertEqual(result.returncode, SKIPPED)
        self.assertIn("skipped: recorded.txt is of 'Clang or ", result.stderr)

    def test_a_machine_without_valgrind_is_skipped(self):
        result = self.run_tool("--check", env={"PATH": "/nonexistent"})
        self.assertEqual(result.returncode, SKIPPED)
        self.assertIn("skipped: valgrind is not installed", result.stderr)


if __name__ == "__main__":
    if shutil.which("valgrind") is None:
        print("instruction_counts_test: skipped: valgrind is not installed")
        sys.exit(SKIPPED)
    unittest.main()
