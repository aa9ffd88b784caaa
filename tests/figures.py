#!/usr/bin/env python3
"""Prints what the program costs: memory, idle time, start, planning, and the time from an edit to readers.

Usage: figures.py REPIN [--entries N] [--idle SECONDS]

Both stores are the emulator in a process of its own, so that only the daemon is measured. A figure over its bound makes
the exit code 1. Linux only: what a process uses is read from /proc.
"""

import argparse
import contextlib
import json
import os
import queue
import re
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ACCOUNT = "111122223333"
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 900


class Daemon:
    """A running daemon and what it says."""

    def __init__(self, world, *arguments):
        command = [world.repin, "daemon", *arguments]
        self.process = subprocess.Popen(command, env=world.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.put((time.monotonic(), line))

    def until(self, text):
        """Waits for a line, and returns when it came."""
        end = time.monotonic() + PATIENCE
        said = []
        while time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                at, line = self.lines.get(timeout=1)
                said.append(line)
                if text in line:
                    return at
            if self.process.poll() is not None:
                break
        raise RuntimeError(f"the daemon never said {text!r}: {''.join(said)}")

    def memory(self):
        """Returns resident memory in MB: now, without pages of the program file, and at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return tuple(int(re.search(rf"^{name}:\s+(\d+) kB", status, re.M)[1]) / 1024 for name in ("VmRSS", "RssAnon", "VmHWM"))

    def cpu(self):
        """Returns the seconds of CPU that it used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)


class World:
    """Both emulated stores, and a folder with a file and state."""

    def __init__(self, repin, folder):
        self.repin, self.folder = repin, Path(folder)
        self.emulator = subprocess.Popen(
            [repin, "emulator", "--account", ACCOUNT, "-o", "json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )
        text = ""
        while True:
            line = self.emulator.stdout.readline()
            if not line:
                raise RuntimeError("the emulator does not start")
            text += line
            with contextlib.suppress(json.JSONDecodeError):
                self.stores = json.loads(text)
                break
        self.env = {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": self.stores["aws"]["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": self.stores["aws"]["secret_access_key"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AZURE_CONNECTION": self.stores["azure"]["connection_string"],
            "REPIN_FILE": str(self.folder / "repin.yaml"),
            "REPIN_STATE_DIR": str(self.folder / "state"),
        }

    def write(self, entries, aws=None):
        """Writes the file as an editor does, and returns when."""
        # An account holds 10,000 standard parameters, the ledger's included: hence the tier.
        head = f"""version: 1
name: figures
targets:
  aws-eu:
    provider: aws-ssm
    account: "{ACCOUNT}"
    region: eu-west-1
    prefix: /ai/figures
    tier: advanced
    endpoint_url: {aws or self.stores["aws"]["endpoint_url"]}
  azure:
    provider: azure-app-configuration
    endpoint: {self.stores["azure"]["endpoint"]}
    prefix: figures
    label: prod
    connection_string: {{ env: AZURE_CONNECTION }}
entries:
"""
        new = self.folder / "new"
        new.write_text(head + "".join(f"  {key}: {json.dumps(entry)}\n" for key, entry in entries.items()))
        at = time.monotonic()
        new.rename(self.folder / "repin.yaml")
        return at

    def run(self, *arguments):
        """Runs a command; returns its seconds of CPU, its peak of memory in MB and its exit code."""
        process = subprocess.Popen([self.repin, *arguments], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)

    def close(self):
        self.emulator.terminate()
        self.emulator.wait()


class Figures:
    """What was measured, with its bounds."""

    def __init__(self):
        self.rows = []

    def add(self, what, value, unit, bound=None):
        over = bound is not None and value >= bound
        self.rows.append((what, f"{value:.1f} {unit}", f"< {bound:g} {unit}" if bound is not None else "", over))
        print(f"{what}: {value:.1f} {unit}" + (" OVER ITS BOUND" if over else ""), flush=True)

    def show(self):
        print("\n| figure | measured | bound |\n|-|-|-|")
        for what, value, bound, _ in self.rows:
            print(f"| {what} | {value} | {bound} |")
        return not any(over for *_, over in self.rows)


def entries(count):
    """Makes entries as an AI service has them: about 110 bytes of JSON each."""
    value = {"model": "gpt-4o", "temperature": 0.2, "max_tokens": 800, "endpoint": "https://contoso.openai.azure.com"}
    return {f"chat/service-{n:05}/config": {"value": {**value, "seat": n}} for n in range(count)}


def starts(world, figures):
    """Measures how long after its start the program sends its first request."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        world.write(entries(10), aws=f"http://127.0.0.1:{server.getsockname()[1]}")
        times = []
        for _ in range(20):
            began = time.monotonic()
            process = subprocess.Popen(
                [world.repin, "status", "--target", "aws-eu"], env=world.env, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            select.select([server], [], [], 30)
            connection, _ = server.accept()
            connection.recv(1)
            times.append((time.monotonic() - began) * 1000)
            process.kill()
            process.wait()
            connection.close()
            # What was sent again meanwhile.
            while select.select([server], [], [], 0)[0]:
                server.accept()[0].close()
    figures.add("start to first request, median of 20", statistics.median(times), "ms", 25)


def edits(world, figures):
    """Measures how long after an edit of a small file its release is served, requests included."""
    world.write(entries(10))
    daemon = Daemon(world, "--interval", "1h")
    daemon.until("release 1 is served")
    times = []
    for n in range(2, 12):
        changed = entries(10)
        changed["chat/service-00003/config"]["value"]["seat"] = 100 + n
        at = world.write(changed)
        times.append((daemon.until(f"release {n} is served") - at) * 1000)
    daemon.stop()
    figures.add("edit to served on both targets, requests included, median of 10", statistics.median(times), "ms", 300)


def plans(world, figures, count):
    cpu, peak, code = world.run("plan", "--detailed-exitcode")
    if code != 0:
        raise RuntimeError(f"there is something to do: exit code {code}")
    figures.add(f"CPU of a plan of {count} entries on each of two targets", cpu, "s", 1)
    figures.add("its peak of memory", peak, "MB")


def idles(world, figures, count, seconds):
    daemon = Daemon(world)
    daemon.until("started")
    # The first look at each target, and one more.
    time.sleep(90)
    cpu, began = daemon.cpu(), time.monotonic()
    samples = []
    while time.monotonic() < began + seconds:
        samples.append(daemon.memory())
        time.sleep(1)
    spent = (daemon.cpu() - cpu) / (time.monotonic() - began) * 100
    resident, anonymous, peak = (statistics.median(sample[n] for sample in samples) for n in range(3))
    figures.add(f"resident memory, {count} entries on each of two targets, median of {seconds} s", resident, "MB", 30)
    figures.add("of it, not pages of the program file", anonymous, "MB")
    figures.add("resident at the most, since the start", peak, "MB")
    figures.add(f"CPU while idle, an interval of 60 s, mean of {seconds} s", spent, "% of a core", 1)
    daemon.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repin", type=Path)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--idle", type=int, default=240)
    arguments = parser.parse_args()
    repin, figures = arguments.repin.resolve(), Figures()
    figures.add("size of the program", repin.stat().st_size / 1e6, "MB", 20)
    with tempfile.TemporaryDirectory() as folder:
        world = World(repin, folder)
        try:
            starts(world, figures)
            edits(world, figures)
        finally:
            world.close()
    with tempfile.TemporaryDirectory() as folder:
        world = World(repin, folder)
        try:
            world.write(entries(arguments.entries))
            cpu, peak, code = world.run("reconcile")
            if code != 0:
                raise RuntimeError(f"the first pass failed: exit code {code}")
            figures.add(f"CPU of the first release of {arguments.entries} entries", cpu, "s")
            figures.add("its peak of memory", peak, "MB")
            plans(world, figures, arguments.entries)
            idles(world, figures, arguments.entries, arguments.idle)
        finally:
            world.close()
    return 0 if figures.show() else 1


if __name__ == "__main__":
    sys.exit(main())
