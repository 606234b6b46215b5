#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Shows that check_layout.py finds each kind of fault, on a small tree made for it."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check_layout  # noqa: E402

SPDX = "// SPDX-License-Identifier: MIT OR Apache-2.0\n"


class CheckLayout(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.write("src/base/CMakeLists.txt", "pleat_library(base SOURCES a.cpp)")
        self.write("src/base/a.cpp", SPDX)
        self.write("src/codec/CMakeLists.txt", "pleat_library(codec SOURCES c.cpp up.cpp near.cpp LINKS base)")
        self.write("src/codec/c.h", SPDX)
        self.write("src/codec/c.cpp", SPDX + '#include "codec/c.h"\n#include "base/page.h"\n')
        self.write("src/store/CMakeLists.txt", "pleat_library(store\n  SOURCES s.cpp\n  LINKS codec\n  LIBRARIES x)")
        self.write("src/store/s.cpp", SPDX + '#include "base/page.h"\n#include <vector>\n')

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def expect(self, part):
        problems = check_layout.check(self.root)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(part, problems[0])

    def test_a_good_tree_passes(self):
        self.assertEqual(check_layout.check(self.root), [])

    def test_an_upward_include(self):
        self.write("src/codec/up.cpp", SPDX + '#include "store/s.h"\n')
        self.expect("codec does not link store")

    def test_an_include_that_is_no_path_from_src(self):
        self.write("src/codec/near.cpp", SPDX + '#include "c.h"\n')
        self.expect("not a path from src/")

    def test_a_cycle(self):
        self.write("src/base/CMakeLists.txt", "pleat_library(base SOURCES a.cpp LINKS codec)")
        self.assertTrue(any("cycle" in p for p in check_layout.check(self.root)))

    def test_two_targets_in_a_folder(self):
        self.write("src/store/CMakeLists.txt", "pleat_library(store LINKS codec)\npleat_library(more)")
        self.assertTrue(any("exactly one" in p for p in check_layout.check(self.root)))

    def test_a_missing_licence_line(self):
        self.write("src/base/b.h", "#pragma once\n")
        self.expect("no SPDX line")

    def test_a_file_that_nobody_builds(self):
        self.write("src/base/lost.cpp", SPDX)
        self.expect("no CMakeLists.txt of src/ names it")

    def test_one_name_twice(self):
        self.write("src/store/c.h", SPDX)
        self.expect("same name")

    def test_a_link_to_an_end_of_the_graph(self):
        self.write("src/tool/CMakeLists.txt", "pleat_library(tool LINKS base)")
        self.write("src/store/CMakeLists.txt", "pleat_library(store SOURCES s.cpp LINKS codec tool)")
        self.expect("which only apps may")


if __name__ == "__main__":
    unittest.main()
