#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Checks the tree against the rules of ARCHITECTURE.md that a compiler does not see.

Each folder of src/ is one CMake target, whose LINKS line names the folders that it may include, directly or
through them. Source files carry an SPDX line, no two in src/ share a name, and each is named in a CMakeLists.txt:
a test that nobody builds tests nothing. Usage: check_layout.py ROOT
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
LIBRARY = re.compile(r"pleat_library\(\s*(\w+)([^)]*)\)")
SOURCES = {".h", ".hpp", ".cpp", ".inl"}
# Folders that no other folder may link: the ends of the graph.
ENDS = {"daemon", "tool"}


def links_of(folder):
    """The folders that this one's CMakeLists.txt links."""
    text = (folder / "CMakeLists.txt").read_text()
    libraries = LIBRARY.findall(text)
    if len(libraries) != 1 or libraries[0][0] != folder.name:
        raise ValueError(f"{folder}: wants exactly one pleat_library({folder.name} ...)")
    words = libraries[0][1].split()
    links, taking = [], False
    for word in words:
        if word.isupper():
            taking = word == "LINKS"
        elif taking:
            links.append(word)
    return links


def reachable(graph, start):
    seen, pending = set(), [start]
    while pending:
        folder = pending.pop()
        for link in graph[folder]:
            if link not in graph:
                raise ValueError(f"src/{folder} links {link}, which is no folder of src/")
            if link not in seen:
                seen.add(link)
                pending.append(link)
    return seen


def check(root):
    problems = []
    src = root / "src"
    folders = sorted(p for p in src.iterdir() if (p / "CMakeLists.txt").exists())
    graph = {}
    for folder in folders:
        try:
            graph[folder.name] = links_of(folder)
        except ValueError as error:
            problems.append(str(error))
            graph[folder.name] = []
    names = {}
    for name, links in graph.items():
        for link in links:
            if link in ENDS:
                problems.append(f"src/{name} links {link}, which only apps may")
        below = reachable(graph, name)
        allowed = below | {name, "pleat"}
        if name in below:
            problems.append(f"src/{name} is part of a cycle")
        for path in sorted((src / name).rglob("*")):
            if path.suffix not in SOURCES:
                continue
            text = path.read_text()
            for include in INCLUDE.findall(text):
                top = include.split("/")[0]
                if "/" not in include or (top not in graph and top != "pleat"):
                    problems.append(f"{path.relative_to(root)}: \"{include}\" is not a path from src/")
                elif top not in allowed:
                    problems.append(f"{path.relative_to(root)}: includes {include}, but {name} does not link {top}")
            if path.name in names:
                problems.append(f"{path.relative_to(root)}: {names[path.name]} has the same name")
            names[path.name] = path.relative_to(root)
    for top in ("src", "apps", "include", "tests", "fuzz", "bench"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SOURCES and "SPDX-License-Identifier" not in path.read_text().split("\n", 1)[0]:
                problems.append(f"{path.relative_to(root)}: no SPDX line at the top")
        build = "\n".join(p.read_text() for p in sorted((root / top).rglob("CMakeLists.txt")))
        for path in sorted((root / top).rglob("*.cpp")):
            if not re.search(rf"\b{re.escape(path.stem)}\b", build):
                problems.append(f"{path.relative_to(root)}: no CMakeLists.txt of {top}/ names it")
    return problems


def main():
    root = pathlib.Path(sys.argv[1])
    problems = check(root)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
