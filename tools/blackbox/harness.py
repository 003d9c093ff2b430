"""What the black-box scenarios share: a broker process, a disk that can lose power, the verifier.

Python 3 standard library only. Every process that is started is ended by its own id.
"""

import fcntl
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: the file system stops at once and forgets
# what was not synced, journal included (linux/fs/ext4/ext4.h).
EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


class Skip(Exception):
    """The scenario cannot run here; the text says why."""


def say(text):
    print(text, flush=True)


def progress(text):
    """A line that is written over on a terminal."""
    if sys.stdout.isatty():
        sys.stdout.write("\r\033[K" + text)
        sys.stdout.flush()
    else:
        say(text)


def end_progress():
    if sys.stdout.isatty():
        sys.stdout.write("\n")
        sys.stdout.flush()


def boot_nanos():
    """The clock of a history's marks."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root for loop devices and mounts")
    if not os.path.exists("/dev/loop-control"):
        raise Skip("this machine has no loop devices")
    for tool in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(tool) is None and not os.path.exists("/sbin/" + tool):
            raise Skip("needs " + tool)


def default_binary():
    """The release build, else the debug build."""
    for kind in ("release", "debug"):
        path = os.path.join(ROOT, ".build", kind, "chaski")
        if os.access(path, os.X_OK):
            return path
    raise Skip("no chaski binary: build one with swift build -c release, or say --binary FILE")


def compile_c(source, target, *flags):
    """Compiles one of this folder's C files."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Skip("needs a C compiler")
    subprocess.run(
        [compiler, "-O2", "-Wall", "-Wextra", *flags, "-o", target, os.path.join(HERE, source)],
        check=True)
    return target


class Broker:
    """One chaski serve."""

    def __init__(self, binary, data, log, port=None, environment=None, arguments=()):
        self.binary = binary
        self.data = data
        self.log = log
        self.port = port or free_port()
        self.environment = environment or {}
        self.arguments = list(arguments)
        self.process = None

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def start(self, timeout=120.0):
        """Starts it; the seconds until it takes connections, which is when it has recovered."""
        began = time.monotonic()
        self.launch()
        self.wait_listening(timeout)
        return time.monotonic() - began

    def launch(self):
        environment = dict(os.environ, **self.environment)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--listen", self.address, "--data", self.data,
                 *self.arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def wait_listening(self, timeout=120.0):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(
                    "the broker ended with %d:\n%s" % (self.process.returncode, self.tail()))
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
                return
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("the broker does not listen after %.0f s:\n%s" % (timeout, self.tail()))

    def tail(self):
        with open(self.log, "rb") as log:
            return b"\n".join(log.read().splitlines()[-8:]).decode("utf-8", "replace")

    def signal(self, number):
        self.process.send_signal(number)

    def freeze(self):
        """Stops every thread; those inside a system call stop at its end, having said nothing."""
        self.process.send_signal(signal.SIGSTOP)
        folder = "/proc/%d/task" % self.process.pid
        while True:
            states = set()
            for thread in os.listdir(folder):
                with open("%s/%s/stat" % (folder, thread)) as stat:
                    states.add(stat.read().rsplit(")", 1)[1].split()[0])
            if states <= {"T", "t", "D", "Z", "X"}:
                return

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def stop(self, timeout=30.0):
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError("the broker did not drain within %.0f s" % timeout)

    def cli(self, *arguments, check=True, timeout=120.0, input=None):
        """Runs a chaski command against this broker; its output, errors and exit code."""
        done = subprocess.run(
            [self.binary, *arguments, "--server", self.address], capture_output=True, text=True,
            timeout=timeout, input=input)
        if check and done.returncode != 0:
            raise RuntimeError(
                "chaski %s ended with %d: %s" % (" ".join(arguments), done.returncode, done.stderr))
        return done

    def json(self, *arguments, **options):
        return json.loads(self.cli(*arguments, "--output", "json", **options).stdout)

    def processor_seconds(self):
        with open("/proc/%d/stat" % self.process.pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        with open("/proc/%d/status" % self.process.pid) as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.process.pid))


class Disk:
    """A file with an ext4 in it, mounted through a loop device."""

    def __init__(self, folder, mebibytes):
        self.image = os.path.join(folder, "disk.img")
        self.mountpoint = os.path.join(folder, "disk")
        self.mounted = False
        os.mkdir(self.mountpoint)
        with open(self.image, "wb") as image:
            image.truncate(mebibytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self.image], check=True)

    def mount(self):
        done = subprocess.run(
            ["mount", "-o", "loop", self.image, self.mountpoint], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skip("cannot mount a loop device here: " + done.stderr.strip())
        self.mounted = True

    def cut_power(self):
        """From here on nothing reaches the disk, and what was not synced is gone."""
        descriptor = os.open(self.mountpoint, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def unmount(self):
        for _ in range(100):
            done = subprocess.run(["umount", self.mountpoint], capture_output=True, text=True)
            if done.returncode == 0:
                self.mounted = False
                return
            time.sleep(0.1)
        raise RuntimeError("cannot unmount: " + done.stderr.strip())


class Verifier:
    """chaski bench verify: load, its own records, and the judgement on them."""

    def __init__(self, binary, address, folder, rate=20_000, arguments=()):
        self.folder = folder
        self.history = os.path.join(folder, "history")
        self.faults = os.path.join(folder, "faults")
        open(self.faults, "w").close()
        self.errors = open(os.path.join(folder, "verify.log"), "wb")
        self.process = subprocess.Popen(
            [binary, "bench", "verify", "--server", address, "--history", self.history,
             "--faults", self.faults, "--rate", str(rate), "--output", "json", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def note(self, kind):
        """Records a fault, at the moment before it is done."""
        with open(self.faults, "a") as faults:
            faults.write("%d %s\n" % (boot_nanos(), kind))

    def alive(self):
        return self.process.poll() is None

    def unknown_outcomes(self):
        """INDETERMINATEs in the history so far; the newest may not be written yet."""
        with open(self.history, "rb") as history:
            return sum(line.startswith(b"i ") for line in history)

    def wait_started(self, timeout=30.0):
        """Until it has confirmed its first messages."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.alive():
                raise RuntimeError("bench verify ended early:\n" + self.tail())
            if os.path.exists(self.history) and os.path.getsize(self.history) > 65_536:
                return
            time.sleep(0.05)
        raise RuntimeError("bench verify published nothing:\n" + self.tail())

    def tail(self):
        self.errors.flush()
        with open(self.errors.name, "rb") as log:
            return b"\n".join(log.read().splitlines()[-8:]).decode("utf-8", "replace")

    def finish(self, timeout=300.0):
        """Ends the load, lets the consumers catch up, and returns the verdict."""
        if self.alive():
            self.process.send_signal(signal.SIGINT)
        output, _ = self.process.communicate(timeout=timeout)
        try:
            return json.loads(output.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise RuntimeError(
                "bench verify ended with %d and no verdict:\n%s"
                % (self.process.returncode, self.tail()))

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait()
        self.errors.close()


def show_verdict(verdict):
    say("  " + "  ".join("%s %s" % item for item in verdict["counts"].items()))
    say("  " + "  ".join("%s %s" % item for item in verdict["violations"].items()))
    for example in verdict["examples"][:10]:
        say("  violation: " + example)
    for missing in verdict["missing"]:
        say("  no verdict: " + missing)
    say("  verdict: " + verdict["verdict"])


class Workspace:
    """A folder for one scenario, removed unless something is wrong or told to keep it."""

    def __init__(self, name, keep, parent=None):
        self.path = tempfile.mkdtemp(prefix="chaski-%s-" % name, dir=parent)
        self.keep = keep
        self.open = []

    def file(self, name):
        return os.path.join(self.path, name)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for item in reversed(self.open):
            try:
                if isinstance(item, (Broker, Verifier)) or hasattr(item, "need_alive"):
                    item.kill()
                elif isinstance(item, Disk) and item.mounted:
                    item.unmount()
                elif isinstance(item, subprocess.Popen) and item.poll() is None:
                    item.kill()
                    item.wait()
            except Exception as problem:  # the first problem is the one to tell
                say("  while cleaning up: %s" % problem)
        if self.keep or (kind is not None and not issubclass(kind, Skip)):
            say("  kept: " + self.path)
        else:
            shutil.rmtree(self.path, ignore_errors=True)

    def add(self, item):
        self.open.append(item)
        return item


def chooser(seed):
    """Random moments that a seed repeats."""
    return random.Random(seed)
