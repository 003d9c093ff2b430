"""What old messages cost: disk in use, and latency while files are compacted."""

import os
import shutil
import subprocess
import time

from figures import journal_bytes
from harness import Broker, Skip, Workspace, end_progress, progress, say

MESSAGE_BYTES = 16_384


def compaction(options):
    """One unacknowledged message at the bottom of many acknowledged ones; then publish latency
    beside compaction."""
    wanted = int(options.gibibytes * (1 << 30))
    with Workspace("compaction", options.keep, options.folder) as space:
        if shutil.disk_usage(space.path).free < wanted * 3:
            raise Skip("needs %.1f GiB of free disk" % (wanted * 3 / (1 << 30)))
        held = one_old_message(options, space, wanted)
        latency(options, space, wanted // 2)
        return 0 if held else 1


def one_old_message(options, space, wanted):
    """Disk in use a minute after everything but one message was acknowledged."""
    broker = space.add(Broker(options.binary, space.file("data"), space.file("broker.log")))
    broker.start()
    # Nothing is gained by a quota here, and nothing must be refused.
    broker.cli("topic", "create", "t", "--max-bytes", str(wanted * 4))
    broker.cli("subscription", "create", "s", "t")
    broker.cli("publish", "t", "the old one")
    holder = consumer(broker, "s", "--exec", "sleep 100000", "--concurrency", "1")
    time.sleep(2)
    eater = consumer(broker, "s", "--format", "%o\\n")
    try:
        published = 0
        while published < wanted:
            result = broker.json(
                "bench", "publish", "--topic", "t", "--size", str(MESSAGE_BYTES), "--batch", "50",
                "--seconds", "5s", timeout=300)
            published += result["messages"] * MESSAGE_BYTES
            progress("compaction: %.2f GiB published" % (published / (1 << 30)))
        end_progress()
        left = wait_for_backlog(broker, 300)
        peak = journal_bytes(space.file("data"))
        say("compaction: %.2f GiB published, %d messages not acknowledged, disk in use %.0f MiB"
            % (published / (1 << 30), left, peak / (1 << 20)))
        last = time.monotonic()
        for seconds in (10, 30, 60):
            time.sleep(max(0, last + seconds - time.monotonic()))
            used = journal_bytes(space.file("data"))
            say("  %2d s later: %.0f MiB in %d files"
                % (seconds, used / (1 << 20), len(os.listdir(space.file("data/default")))))
    finally:
        for process in (holder, eater):
            process.kill()
            process.wait()
    time.sleep(11)
    # What the holder had comes again; the lowest offset of it is the old message.
    found = broker.cli(
        "subscribe", "s", "--format", "%o %S\\n", "--count", str(left), timeout=120).stdout
    first = min(found.splitlines(), key=lambda line: int(line.split()[0]))
    broker.stop()
    verify = broker_verify(options.binary, space.file("data"))
    came = first == "0 %d" % len("the old one")
    say("  the old message %s; journal verify exit %d"
        % ("came again" if came else "is LOST: the first is %s" % first, verify))
    return came and verify == 0


def consumer(broker, *arguments):
    return subprocess.Popen(
        [broker.binary, "subscribe", *arguments, "--server", broker.address],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_backlog(broker, seconds):
    """Messages left when their number does not change any more."""
    last, since = None, time.monotonic()
    deadline = since + seconds
    while time.monotonic() < deadline:
        found = broker.json("subscription", "describe", "s")
        left = found["backlog"]
        if left != last:
            last, since = left, time.monotonic()
        elif left < 1_000 and time.monotonic() - since > 2:
            return left
        time.sleep(0.2)
    raise RuntimeError("%s messages are not acknowledged after %d s" % (last, seconds))


def broker_verify(binary, data):
    return subprocess.run(
        [binary, "journal", "verify", data], capture_output=True, timeout=600).returncode


def latency(options, space, wanted):
    """Publish latency at a steady rate, with and without compaction of files of which two fifths
    are alive."""
    data = space.file("data-latency")
    broker = space.add(
        Broker(options.binary, data, space.file("broker.log"), arguments=["--compaction-rate", "1"]))
    broker.start()
    for name in ("kept", "dropped", "bench"):
        broker.cli("topic", "create", name, "--max-bytes", str(wanted * 4))
    while journal_bytes(data) < wanted:
        writers = [
            subprocess.Popen(
                [broker.binary, "bench", "publish", "--topic", topic, "--size", str(MESSAGE_BYTES),
                 "--batch", "20", "--rate", rate, "--seconds", "5s", "--server", broker.address],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for topic, rate in (("kept", "4000"), ("dropped", "6000"))]
        for writer in writers:
            writer.wait()
        progress("compaction: %.2f GiB written" % (journal_bytes(data) / (1 << 30)))
    end_progress()
    broker.cli("topic", "delete", "dropped")
    say("publish beside compaction, 1,000 messages/s one a call, in turns on the same data:")
    found = {"quiet": [], "beside": []}
    for _ in range(options.rounds or 3):
        for kind, rate in (("quiet", ["--compaction-rate", "1"]), ("beside", [])):
            broker.stop()
            broker.arguments = rate
            broker.start(timeout=300)
            time.sleep(2)
            before = journal_bytes(data)
            result = steady(broker)
            found[kind].append(result["p99Nanos"] / 1e6)
            say("  %-6s p50 %.2f ms, p99 %.2f ms; disk in use %.2f GiB before, %.2f GiB after"
                % (kind, result["p50Nanos"] / 1e6, found[kind][-1], before / (1 << 30),
                   journal_bytes(data) / (1 << 30)))
    broker.stop()
    middle = {kind: sorted(times)[len(times) // 2] for kind, times in found.items()}
    say("  p99 beside compaction to quiet, the medians: %.2f ms to %.2f ms, ratio %.2f"
        % (middle["beside"], middle["quiet"], middle["beside"] / middle["quiet"]))
    shutil.rmtree(data, ignore_errors=True)


def steady(broker):
    return broker.json(
        "bench", "publish", "--mode", "single", "--tasks", "100", "--rate", "1000", "--size",
        "1024", "--topic", "bench", "--seconds", "10s", timeout=120)["latency"]
