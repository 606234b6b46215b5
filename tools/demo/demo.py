#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The main job on real input, with a progress display: see ./demo, which builds and starts this.

As root: a Pleat device becomes swap; two real programs run under a memory limit that is far below what they
need; what they computed is compared byte for byte with the truth; everything is undone. Without root: the
same codec and store work over the pages of a real process.
"""
import argparse
import atexit
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = f"demo{os.getpid()}"
DEVICE_SIZE = "1G"
LIMIT_MIB = 64      # what each program may keep in memory
SORT_MIB = 64      # text that sort sorts; it needs twice to three times as much memory
CHECKED_MIB = 160   # memory of the second program
CHECK_SECONDS = 12
PROGRAM_TIMEOUT_S = 90


class Failure(Exception):
    """A line for the person at the terminal."""


def size(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit in ("B", "KiB") else f"{count:.1f} {unit}"
        count /= 1024


def duration(ns):
    return f"{ns} ns" if ns < 1000 else f"{ns / 1e3:.1f} us" if ns < 1e6 else f"{ns / 1e6:.2f} ms"


class Pleat:
    """The command, as a user runs it."""

    def __init__(self, binaries):
        self.program = str(binaries / "pleat")

    def __call__(self, *arguments, timeout=60):
        done = subprocess.run([self.program, *arguments], text=True, capture_output=True, timeout=timeout,
                              check=False, start_new_session=True)
        if done.returncode != 0:
            raise Failure((done.stderr.strip() or f"pleat {arguments[0]} failed").removeprefix("pleat: "))
        return done.stdout

    def stat(self):
        answer = json.loads(self("stat", NAME, "--json"))
        return answer[0] if isinstance(answer, list) else answer


class MemoryGroup:
    """A memory cgroup with a limit of its own, v1 or v2, whichever the machine has."""

    def __init__(self, limit):
        self.path = None
        for line in pathlib.Path("/proc/mounts").read_text().splitlines():
            _, mount, kind, options = line.split()[:4]
            base = pathlib.Path(mount)
            if kind == "cgroup" and "memory" in options.split(","):
                self.version, self.path = 1, base / NAME
                break
            if kind == "cgroup2" and "memory" in (base / "cgroup.controllers").read_text().split():
                self.version, self.path = 2, base / NAME
                with contextlib.suppress(OSError):
                    (base / "cgroup.subtree_control").write_text("+memory")
        if self.path is None:
            raise Failure("no memory cgroup controller is mounted, so no program can be limited on its own; "
                          "mount one: mount -t cgroup2 none /sys/fs/cgroup")
        try:
            self.path.mkdir()
            file = "memory.limit_in_bytes" if self.version == 1 else "memory.max"
            (self.path / file).write_text(str(limit))
            self.limit = limit
            if self.version == 1:
                # Version 1 may kill although there is room in swap, as it does with kernel zram too. So its
                # programs wait instead, and keep_going() lets them on.
                with contextlib.suppress(OSError):
                    (self.path / "memory.oom_control").write_text("1")
        except OSError as error:
            self.remove()
            raise Failure(f"cannot make the memory cgroup {self.path}: {error.strerror}") from error

    def start(self, command, **options):
        procs = str(self.path / "cgroup.procs")

        def enter():
            with open(procs, "w", encoding="ascii") as file:
                file.write("0")

        return subprocess.Popen(command, preexec_fn=enter, start_new_session=True, **options)

    def keep_going(self):
        """Lets programs try again that wait because reclaim gave up on version 1: a raised limit wakes them."""
        if self.version != 1:
            return
        with contextlib.suppress(OSError):
            if "under_oom 1" in (self.path / "memory.oom_control").read_text():
                limit = self.path / "memory.limit_in_bytes"
                limit.write_text(str(self.limit + (1 << 20)))
                limit.write_text(str(self.limit))

    def swapped(self):
        """Bytes of the group's memory that are swapped out now."""
        with contextlib.suppress(OSError, ValueError):
            if self.version == 2:
                return int((self.path / "memory.swap.current").read_text())
            for line in (self.path / "memory.stat").read_text().splitlines():
                if line.startswith("swap "):
                    return int(line.split()[1])
        return 0

    def remove(self):
        for _ in range(50):
            try:
                self.path.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.1)


class Undo:
    """What has to be undone, last first, however the demo ends."""

    def __init__(self):
        self.steps = []
        atexit.register(self.run)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.interrupted)

    def interrupted(self, number, _frame):
        raise Failure(f"interrupted ({signal.Signals(number).name}); undoing everything")

    def add(self, step):
        self.steps.append(step)

    def run(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        ok = True
        while self.steps:
            try:
                self.steps.pop()()
            except (Failure, OSError, subprocess.SubprocessError) as error:
                ok = False
                print(f"demo: while undoing: {error}", file=sys.stderr)
        return ok


class Progress:
    """One line that is rewritten on a terminal, and a line every few seconds elsewhere."""

    def __init__(self):
        self.live = sys.stdout.isatty()
        self.last = 0

    def show(self, text, share):
        width = 24
        bar = "#" * round(width * min(share, 1))
        line = f"  [{bar:<{width}}] {text}"
        if self.live:
            columns = shutil.get_terminal_size().columns
            print("\r\033[K" + line[:columns - 1], end="", flush=True)
        elif time.monotonic() - self.last > 3:
            self.last = time.monotonic()
            print(line, flush=True)

    def end(self, text):
        print(("\r\033[K" if self.live else "") + "  " + text, flush=True)


def stop(process):
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ended(process):
    """How a program ended, in words."""
    if process.returncode == -signal.SIGKILL:
        return "killed (SIGKILL), probably by the kernel, which found no memory within the limit: see dmesg"
    if process.returncode < 0:
        return f"killed by {signal.Signals(-process.returncode).name}"
    return f"exit status {process.returncode}"


def watch(title, process, group, pleat, expected_s, peak):
    """Shows how the program swaps until it ends; keeps the moment when most was stored in `peak`."""
    progress = Progress()
    start = time.monotonic()
    before = pleat.stat()
    last, last_time = before, start
    while process.poll() is None:
        elapsed = time.monotonic() - start
        if elapsed > PROGRAM_TIMEOUT_S:
            raise Failure(f"{title} did not end within {PROGRAM_TIMEOUT_S} s")
        time.sleep(0.25)
        group.keep_going()
        now, now_time = pleat.stat(), time.monotonic()
        if now["orig_data_size"] >= peak.get("orig_data_size", 0):
            peak.update(now)
        step = max(now_time - last_time, 1e-3)
        rate_out = (now["write"]["bytes"] - last["write"]["bytes"]) / step / 1e6
        rate_in = (now["read"]["bytes"] - last["read"]["bytes"]) / step / 1e6
        ratio = now["orig_data_size"] / now["mem_used_total"] if now["mem_used_total"] else 0
        progress.show(f"{elapsed:4.0f} s  {size(now['orig_data_size'])} stored in "
                      f"{size(now['mem_used_total'])} ({ratio:.2f}x)  out {rate_out:.0f} MB/s  "
                      f"in {rate_in:.0f} MB/s", elapsed / expected_s)
        last, last_time = now, now_time
    after = pleat.stat()
    moved_out = (after["write"]["bytes"] - before["write"]["bytes"]) // 4096
    moved_in = (after["read"]["bytes"] - before["read"]["bytes"]) // 4096
    return progress, time.monotonic() - start, moved_out, moved_in


def real_files():
    """Real files of this machine, in a fixed order: text and programs."""
    for top in ("/usr/include", "/usr/share/doc", "/usr/share/perl", "/usr/lib/python3", "/usr/lib/x86_64-linux-gnu",
                "/usr/bin", "/usr/lib"):
        for path in sorted(pathlib.Path(top).rglob("*")):
            with contextlib.suppress(OSError):
                if path.is_file() and not path.is_symlink() and path.stat().st_size >= 2048:
                    yield path


def make_text(path):
    """Real text, in lines that sort has to move: the headers and documents of this machine, in rounds."""
    written, round_number = 0, 0
    texts = [p for p in real_files() if p.suffix in (".h", ".hpp", ".txt", ".py", ".pm", "", ".tcc")]
    with open(path, "wb") as out:
        while written < SORT_MIB << 20:
            round_number += 1
            start = written
            for text in texts:
                with contextlib.suppress(OSError):
                    data = text.read_bytes()
                    if b"\0" in data:
                        continue
                    for number, line in enumerate(data.splitlines()):
                        written += out.write(b"%s %d:%d\n" % (line.rstrip(), round_number, number))
                if written >= SORT_MIB << 20:
                    break
            if written == start:
                raise Failure("found no text files under /usr to sort")


def run_sort(pleat, group, undo, folder, peak):
    text, truth, result = folder / "text", folder / "truth", folder / "result"
    print(f"1. sort, from coreutils: {SORT_MIB} MiB of this machine's own text, allowed {LIMIT_MIB} MiB of memory")
    make_text(text)
    environment = dict(os.environ, LC_ALL="C")
    # The truth comes from a run without the limit.
    subprocess.run(["sort", "-S", "1G", "-o", str(truth), str(text)], env=environment, check=True, timeout=120)
    process = group.start(["sort", "--parallel=1", "-S", f"{SORT_MIB * 4}M", "-T", str(folder), "-o", str(result),
                           str(text)], env=environment, stderr=subprocess.PIPE)
    undo.add(lambda: stop(process))
    progress, took_s, moved_out, moved_in = watch("sort", process, group, pleat, 15, peak)
    if process.returncode != 0:
        raise Failure(f"sort failed: {process.stderr.read().decode().strip() or ended(process)}")
    equal = subprocess.run(["cmp", str(truth), str(result)], check=False).returncode == 0
    progress.end(f"{took_s:.1f} s; {moved_out:,} pages out, {moved_in:,} pages in; "
                 f"{size(result.stat().st_size)} of output " +
                 ("compared with a run without limit: every byte is right" if equal else "DIFFER from the truth"))
    if not equal:
        raise Failure("sort gave another result under the limit")
    if moved_out == 0:
        raise Failure("sort did not swap to Pleat: is another swap device in front of it?")
    for path in (text, truth, result):
        path.unlink()


def run_checked(pleat, group, undo, peak):
    print(f"2. python3: {CHECKED_MIB} MiB of memory filled from this machine's own files, allowed {LIMIT_MIB} MiB, "
          "read and overwritten at random")
    files, total = [], 0
    for path in real_files():
        files.append(str(path))
        total += path.stat().st_size
        if total > 3 * CHECKED_MIB << 20 or len(files) >= 8000:
            break
    process = group.start([sys.executable, str(ROOT / "tools/demo/workload.py"), str(CHECKED_MIB),
                           str(CHECK_SECONDS), *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    undo.add(lambda: stop(process))
    progress, took_s, moved_out, moved_in = watch("python3", process, group, pleat, CHECK_SECONDS + 8, peak)
    output, errors = process.communicate()
    if not output:
        raise Failure(f"the checked program died: {errors.decode().strip().splitlines()[-1:] or ended(process)}")
    report = json.loads(output)
    progress.end(f"{took_s:.1f} s; {moved_out:,} pages out, {moved_in:,} pages in; {report['checked']:,} pages "
                 f"checked byte by byte, {report['overwritten']:,} overwritten, {report['wrong']} wrong")
    if report["wrong"]:
        raise Failure(f"{report['wrong']} pages came back wrong")


def show_result(peak, final):
    stored, used = peak["orig_data_size"], peak["mem_used_total"]
    pages = stored // 4096
    rows = [
        ("Pages stored", f"{pages:,} at the peak ({size(stored)})"),
        ("Memory they took", f"{size(used)} (compressed data {size(peak['compr_data_size'])})"),
        ("Ratio", f"{stored / used:.2f} pages stored for each page of memory" if used else "-"),
        ("Same-filled", f"{100 * peak['same_pages'] / max(pages, 1):.1f} % of the pages; they take no memory"),
        ("Incompressible", f"{100 * peak['huge_pages'] / max(pages, 1):.1f} % of the pages; stored as they are"),
    ]
    for kind, word in (("write", "Written (swap out)"), ("read", "Read (swap in)")):
        io = final[kind]
        rows.append((word, f"{size(io['bytes'])} in {io['requests']:,} requests; a request takes "
                     f"p50 {duration(io['p50_ns'])}, p99 {duration(io['p99_ns'])}"))
    busy_s = final["busy_ns"] / 1e9
    total = final["write"]["bytes"] + final["read"]["bytes"]
    rows += [
        ("Throughput", f"{total / busy_s / 1e6:,.0f} MB/s while serving ({busy_s:.2f} s of service)" if busy_s else "-"),
        ("The daemon's own memory", f"{size(peak['daemon_bytes'])}, and {size(peak['slot_table_bytes'])} of slot table"),
    ]
    print("\nResult")
    for label, text in rows:
        print(f"  {label:<24} {text}")
    print("  After the programs ended the device holds "
          f"{final['orig_data_size'] // 4096:,} pages: freed swap is given back by discard.")


def with_root(pleat, undo):
    pathlib.Path("/run/pleat").mkdir(mode=0o755, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pleat-demo-", dir="/var/tmp"))
    undo.add(lambda: shutil.rmtree(folder, ignore_errors=True))
    group = MemoryGroup(LIMIT_MIB << 20)
    undo.add(group.remove)

    def remove_device():
        with contextlib.suppress(FileNotFoundError):
            pleat("remove", NAME, "--swapoff", timeout=120)

    undo.add(remove_device)
    path = pleat("create", NAME, "--size", DEVICE_SIZE, "--swap", "--priority", "32767").strip()
    status = pleat.stat()
    print(f"  Device     {path}, {DEVICE_SIZE}, made swap with the highest priority")
    print(f"  Transport  {status['transport_reason']}")
    print(f"  Codec      {status['algorithm']} ({status['isa']})")
    print(f"  Limit      {LIMIT_MIB} MiB for each program (memory cgroup v{group.version}); "
          "the rest of the machine is not limited\n")
    peak = {}
    run_sort(pleat, group, undo, folder, peak)
    run_checked(pleat, group, undo, peak)
    time.sleep(0.5)
    show_result(peak, pleat.stat())
    print("\nUndoing: swapoff, device, cgroup, files ... ", end="", flush=True)
    clean = undo.run()
    print("done." if clean else "")
    return clean


def without_root(pleat, undo):
    print("Not root, so no device can be made and nothing is swapped: run `sudo ./demo` for that.\n"
          "Instead, the same codec and store over the pages of a real process:\n")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pleat-demo-"))
    undo.add(lambda: shutil.rmtree(folder, ignore_errors=True))
    pages = folder / "python3.pages"
    command = [sys.executable, "-c", "import json,sys,time\n"
               "x={str(i):[i,i*1.5,{'name':'entry %d'%i}] for i in range(60000)}\n"
               "y=json.dumps(x)\nsys.stdout.flush()\ntime.sleep(60)"]
    print(pleat("capture", "-o", str(pages), "--after", "3", "--", *command, timeout=90), end="")
    print(pleat("bench", "store", "--pages", str(pages), timeout=90), end="")
    return True


def main():
    parser = argparse.ArgumentParser(description="Pleat's demonstration; see ./demo")
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="the bin folder of a build")
    arguments = parser.parse_args()
    undo = Undo()
    pleat = Pleat(arguments.bin.resolve())
    print("Pleat: compressed memory for Linux\n")
    try:
        run = with_root if os.geteuid() == 0 else without_root
        return 0 if run(pleat, undo) else 1
    except (Failure, subprocess.SubprocessError, OSError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    finally:
        undo.run()


if __name__ == "__main__":
    sys.exit(main())
