#!/usr/bin/env python3
"""Cold process to first token: the commands given, in turns, each as a new process; time on the clock, processor time
and peak memory of each. On a shared machine processor time is the figure to compare; the least of the clock is told too.

    bench/start.py [--rounds 20] [--cold FILE]... NAME='freehold run MODEL Hi --raw --max-tokens 1' NAME='...'

--cold FILE drops FILE from the page cache before every process (posix_fadvise), also the panels of a store.
"""
import argparse
import os
import shlex
import statistics
import subprocess
import time


def drop(path):
    fd = os.open(path, os.O_RDONLY)
    os.fdatasync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def once(command):
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    clock = time.monotonic() - started
    if status != 0:
        raise SystemExit(f"{shlex.join(command)} ended with status {status}")
    return clock, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--cold", action="append", default=[])
    parser.add_argument("commands", nargs="+")
    given = parser.parse_args()
    commands = {c.split("=", 1)[0]: shlex.split(c.split("=", 1)[1]) for c in given.commands}
    seen = {name: [] for name in commands}
    for _ in range(given.rounds):
        for name, command in commands.items():
            for path in given.cold:
                drop(path)
            seen[name].append(once(command))
    print(f"{'':24} {'clock s: median':>16} {'least':>8} {'processor s: median':>20} {'least':>8} {'MB':>8}")
    for name, rows in seen.items():
        clock, cpu, memory = zip(*rows)
        print(f"{name:24} {statistics.median(clock):16.3f} {min(clock):8.3f} {statistics.median(cpu):20.3f} "
              f"{min(cpu):8.3f} {max(memory):8.0f}")


if __name__ == "__main__":
    main()
