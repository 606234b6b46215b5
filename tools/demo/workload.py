#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A program whose memory can be checked: fills anonymous memory with the contents of real files, then reads
pages in random order, compares every byte with what was written (by digest), and overwrites some.

Usage: workload.py MIB SECONDS FILE...
Prints one line of JSON at the end; exit status 1 where a page came back wrong.
"""
import hashlib
import json
import mmap
import random
import sys
import time

PAGE = 4096


def pages_of(files):
    """Whole pages of the files' contents, over and over; each round is shifted, so that no two are equal."""
    shift = 0
    while True:
        for name in files:
            try:
                with open(name, "rb") as file:
                    file.seek(shift)
                    while len(page := file.read(PAGE)) == PAGE:
                        yield page
            except OSError:
                continue
        shift = (shift + 1024 + 64) % PAGE


def digest(page):
    return hashlib.blake2b(page, digest_size=12).digest()


def main():
    mib, seconds, files = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    count = mib * (1 << 20) // PAGE
    memory = mmap.mmap(-1, count * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    source = pages_of(files)
    digests = []
    for i in range(count):
        page = next(source)
        memory[i * PAGE:(i + 1) * PAGE] = page
        digests.append(digest(page))

    choice = random.Random(1)
    end = time.monotonic() + seconds
    checked = overwritten = wrong = 0
    while True:
        order = list(range(count))
        choice.shuffle(order)
        for n, i in enumerate(order):
            if digest(memory[i * PAGE:(i + 1) * PAGE]) != digests[i]:
                wrong += 1
            checked += 1
            if choice.random() < 0.1:
                page = next(source)
                memory[i * PAGE:(i + 1) * PAGE] = page
                digests[i] = digest(page)
                overwritten += 1
            # Every page is checked once at least; after that the time decides.
            if checked >= count and n % 64 == 0 and time.monotonic() > end:
                print(json.dumps({"pages": count, "checked": checked, "overwritten": overwritten, "wrong": wrong}))
                return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
