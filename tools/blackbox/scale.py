"""What large numbers cost: a poison message, a stuck key, a backlog, many subscriptions."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time

from figures import at_rest, journal_bytes
from harness import Broker, Skip, Workspace, boot_nanos, end_progress, progress, say


def bench(broker, *arguments, timeout=3_600):
    return broker.json("bench", *arguments, timeout=timeout)


def need_disk(space, wanted):
    if shutil.disk_usage(space.path).free < wanted * 1.5:
        raise Skip("needs %.1f GiB of free disk" % (wanted * 1.5 / (1 << 30)))


def number(value):
    return "{:,.0f}".format(value)


class MemoryWatch:
    """The most memory of its own, file pages aside, that a process had while something ran."""

    def __init__(self, pid):
        self.pid = pid
        self.most = self.now()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def now(self):
        with open("/proc/%d/status" % self.pid) as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        return 0

    def watch(self):
        while not self.ended.wait(0.05):
            self.most = max(self.most, self.now())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


# Order: one stuck key.

def order(options):
    """Keys that go on beside one that is stuck and has half of the messages."""
    total = options.count or 1_000_000
    keys = min(100_000, max(1_000, total // 100))
    with Workspace("order", options.keep, options.folder) as space:
        need_disk(space, total * 300)
        broker = space.add(Broker(options.binary, space.file("data"), space.file("broker.log")))
        broker.start()
        sizes = {}
        for topic, count, busy in (("with", total, 50), ("without", total // 2, 0)):
            broker.cli("topic", "create", topic, "--max-bytes", str(total * 2_000))
            sizes[topic] = bench(
                broker, "publish", "--topic", topic, "--messages", str(count), "--keys", str(keys),
                "--busy", str(busy), "--size", "64", "--seconds", "1h")["messages"]
        say("order: %s messages, half of them of one key; the others have %s keys"
            % (number(sizes["with"]), number(keys)))
        bound = min(10_000_000, max(100_000, total))
        rates = {"with": [], "without": []}
        grown = None
        names = [topic + "-%d" % turn for turn in range(options.rounds or 2)
                 for topic in ("without", "with")]
        for name in names:
            # All at first: what one has acknowledged the others still want.
            broker.cli("subscription", "create", name, name.partition("-")[0], "--ordered",
                       "--max-unsettled", str(bound))
        for name in names:
            topic = name.partition("-")[0]
            before, spent = broker_memory(broker), broker.processor_seconds()
            with MemoryWatch(broker.process.pid) as memory:
                result = stuck(broker, name)
            spent = broker.processor_seconds() - spent
            rates[topic].append(result["messagesPerSecond"])
            left = broker.json("subscription", "describe", name)
            say("  %-7s %9s messages of other keys, %9s/s, %.2f us of the broker's processor "
                "each; %9s left; memory %.0f MiB before, at most %.0f MiB" % (
                    topic, number(result["messages"]), number(result["messagesPerSecond"]),
                    spent * 1e6 / max(1, result["messages"]), number(left["backlog"]),
                    before / (1 << 20), memory.most / (1 << 20)))
            if topic == "with" and grown is None:
                grown = memory.most - before
            if name != names[-1]:
                broker.cli("subscription", "delete", name)
        ratio = sum(rates["with"]) / max(1e-9, sum(rates["without"]))
        say("  other keys beside the stuck one, to the same without it: ratio %.2f (goal 0.95); "
            "%.1f bytes of memory for each message that waits"
            % (ratio, max(0, grown) / (sizes["with"] / 2)))
        broker.kill()
        seconds = broker.start(timeout=600)
        resident = broker_memory(broker)
        with MemoryWatch(broker.process.pid) as memory:
            again = stuck(broker, names[-1], "--quiet", "15s")
        say("  after kill -9: listens after %.2f s, memory %.0f MiB; %s messages of other keys came "
            "again; memory at most %.0f MiB" % (
                seconds, resident / (1 << 20), number(again["messages"]),
                memory.most / (1 << 20)))
        code = broker.stop()
        return 0 if code == 0 else 1


def broker_memory(broker):
    return MemoryWatch(broker.process.pid).now()


def stuck(broker, subscription, *arguments):
    """Handles what a subscription has, but for one key."""
    return bench(broker, "handle", subscription, "--stuck-key", "busy", "--window", "20000",
                 *arguments)


# A backlog.

def backlog(options):
    """Publishing to a topic of which many messages wait, beside an empty one; then they are handled."""
    total = options.count or 1_000_000
    with Workspace("backlog", options.keep, options.folder) as space:
        need_disk(space, total * 500)
        brokers = {}
        for name in ("empty", "full"):
            brokers[name] = space.add(
                Broker(options.binary, space.file(name), space.file(name + ".log")))
            brokers[name].start()
            make_topic(brokers[name], "t", total)
        full, empty = brokers["full"], brokers["empty"]
        at_start = broker_memory(full)
        filling = bench(full, "publish", "--topic", "t", "--messages", str(total), "--seconds", "1h")
        memory = broker_memory(full)
        say("backlog: %s messages published at %s/s; %.2f GiB on disk; memory %.0f MiB, %.0f MiB "
            "when it was empty" % (
                number(filling["messages"]), number(filling["messagesPerSecond"]),
                journal_bytes(full.data) / (1 << 30), memory / (1 << 20), at_start / (1 << 20)))
        rates = {"empty": [], "full": []}
        for turn in range(options.rounds or 3):
            for name in ("empty", "full"):
                rates[name].append(
                    bench(brokers[name], "publish", "--topic", "t", "--seconds",
                          "%gs" % min(5, options.seconds))["messagesPerSecond"])
            # The next round finds it empty again.
            empty.cli("subscription", "delete", "t")
            empty.cli("topic", "delete", "t")
            make_topic(empty, "t", total)
        say("  publish: empty %s, full %s: ratio %.2f (goal 0.90)" % (
            " ".join(number(rate) for rate in rates["empty"]),
            " ".join(number(rate) for rate in rates["full"]),
            sum(rates["full"]) / sum(rates["empty"])))
        small = total // 10
        bench(empty, "publish", "--topic", "t", "--messages", str(small), "--seconds", "1h")
        drains = {}
        for name in ("empty", "full"):
            with MemoryWatch(brokers[name].process.pid) as watch:
                drains[name] = bench(brokers[name], "handle", "t", "--window", "20000")
            drains[name]["memory"] = watch.most
        left = full.json("subscription", "describe", "t")["backlog"]
        say("  handled: %s at %s/s (a backlog of %s: %s/s): ratio %.2f; memory at most %.0f MiB, "
            "%d left" % (
                number(drains["full"]["messages"]), number(drains["full"]["messagesPerSecond"]),
                number(drains["empty"]["messages"]), number(drains["empty"]["messagesPerSecond"]),
                drains["full"]["messagesPerSecond"] / drains["empty"]["messagesPerSecond"],
                drains["full"]["memory"] / (1 << 20), left))
        codes = [broker.stop() for broker in brokers.values()]
        return 0 if codes == [0, 0] and left == 0 else 1


def make_topic(broker, name, total):
    """A topic with a subscription of the same name."""
    broker.cli("topic", "create", name, "--max-bytes", str(max(1 << 34, total * 2_000)))
    broker.cli("subscription", "create", name, name)


# Many subscriptions.

def subscriptions(options):
    """Memory, idle processor time and restart with many subscriptions."""
    count = options.count or 10_000
    with Workspace("subscriptions", options.keep, options.folder) as space:
        broker = space.add(Broker(options.binary, space.file("data"), space.file("broker.log")))
        broker.start()
        time.sleep(2)
        share, empty = at_rest(broker, options.seconds)
        say("subscriptions: none: %.2f %% of a CPU, %.1f MiB resident" % (share, empty))
        made = bench(broker, "subscriptions", "--count", str(count))
        time.sleep(5)
        share, resident = at_rest(broker, options.seconds)
        say("  %s created at %s/s; idle: %.2f %% of a CPU, %.1f MiB resident (%.0f bytes each), "
            "%.1f MiB on disk" % (
                number(made["messages"]), number(made["messagesPerSecond"]), share, resident,
                (resident - empty) * (1 << 20) / count, journal_bytes(broker.data) / (1 << 20)))
        broker.kill()
        killed = broker.start(timeout=600)
        time.sleep(2)
        share, resident = at_rest(broker, options.seconds)
        say("  after kill -9: listens after %.2f s; idle: %.2f %% of a CPU, %.1f MiB resident"
            % (killed, share, resident))
        began = time.monotonic()
        code = broker.stop(timeout=120)
        stopped = time.monotonic() - began
        clean = broker.start(timeout=600)
        say("  stop takes %.2f s, exit %d; listens %.2f s after that" % (stopped, code, clean))
        began = time.monotonic()
        listed = len(broker.json("subscription", "list")["subscriptions"])
        say("  chaski subscription list: %s in %.2f s" % (number(listed), time.monotonic() - began))
        alive = bench(broker, "publish", "--topic", "bench-0", "--messages", "100000")
        say("  publish to a topic with %s of them: %s/s, p99 %.2f ms" % (
            number(count / min(100, count)), number(alive["messagesPerSecond"]),
            alive["latency"]["p99Nanos"] / 1e6))
        broker.stop(timeout=120)
        return 0 if code == 0 else 1


# Poison.

class Supervised:
    """A consumer that is started again whenever it ends."""

    def __init__(self, broker, subscription, record, work, window):
        self.command = [
            broker.binary, "bench", "handle", subscription, "--server", broker.address,
            "--poison-key", "poison", "--record", record, "--work", work, "--window", str(window),
            "--quiet", "1h"]
        self.deaths = []
        self.process = None
        self.stopped = False
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def loop(self):
        while not self.stopped:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            if self.process.wait() == -signal.SIGKILL and not self.stopped:
                self.deaths.append(boot_nanos())

    def kill(self):
        self.stopped = True
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
        self.thread.join()


def poison(options):
    """One message kills whoever handles it; eight consumers, started again each time."""
    total = options.count or 10_000
    with Workspace("poison", options.keep, options.folder) as space:
        broker = space.add(Broker(options.binary, space.file("data"), space.file("broker.log")))
        broker.start()
        broker.cli("topic", "create", "t")
        broker.cli("subscription", "create", "s", "t")
        before = total // 5
        bench(broker, "publish", "--topic", "t", "--messages", str(before), "--seconds", "1h")
        broker.cli("publish", "t", "the one that kills", "--key", "poison")
        bench(broker, "publish", "--topic", "t", "--messages", str(total - before - 1),
              "--seconds", "1h")
        began = boot_nanos()
        consumers = [
            space.add(Supervised(broker, "s", space.file("record-%d" % one), "8ms", 100))
            for one in range(8)]
        dead, seconds = None, 0
        while True:
            time.sleep(0.2)
            found = broker.json("subscription", "describe", "s")
            seconds = (boot_nanos() - began) / 1e9
            if dead is None and found["dead"] > 0:
                dead = boot_nanos()
            if sys.stdout.isatty():
                progress("poison: %.0f s, %d left, %d dead" % (
                    seconds, found["backlog"], found["dead"]))
            if found["backlog"] == 0 or seconds > 600:
                break
        end_progress()
        for consumer in consumers:
            consumer.kill()
        held = judge_poison(broker, space, consumers, total, before, began, dead)
        code = broker.stop()
        return 0 if held and code == 0 else 1


def judge_poison(broker, space, consumers, total, poisoned, began, dead):
    """What the handlers' own records say."""
    letters = broker.json("deadletter", "list", "s")["deadLetters"]
    handouts, taken, times = {}, {}, []
    for one in range(len(consumers)):
        with open(space.file("record-%d" % one), "rb") as record:
            for offset, handout, when in struct.iter_unpack("<QQQ", record.read()):
                handouts[offset] = max(handouts.get(offset, 0), handout)
                taken[offset] = taken.get(offset, 0) + 1
                times.append(when)
    deaths = sorted(moment for consumer in consumers for moment in consumer.deaths)
    say("poison: dead: %s; consumers died %d times"
        % (", ".join("offset %(offset)d (%(cause)s, handed out %(handedOut)d times)" % letter
                     for letter in letters) or "none", len(deaths)))
    for title, counts in (("handed out", handouts), ("taken by a handler", taken)):
        histogram = {}
        for offset, count in counts.items():
            if offset != poisoned:
                histogram[count] = histogram.get(count, 0) + 1
        say("  the others were %s: %s" % (title, ", ".join(
            "%s x %d" % (number(histogram[count]), count) for count in sorted(histogram))))
    report_rate(times, deaths, dead)
    killed = [(letter["offset"], letter["cause"]) for letter in letters]
    return len(handouts) == total and killed == [(poisoned, "abandoned")]


def report_rate(times, deaths, dead):
    """Throughput by second, and how long it was below nine tenths of what it was before."""
    times.sort()
    if not times or not deaths:
        return
    width = 1_000_000_000
    first = times[0]
    buckets = [0] * ((times[-1] - first) // width + 1)
    for moment in times:
        buckets[(moment - first) // width] += 1
    death = (deaths[0] - first) // width
    usual = sorted(buckets[1:death])[max(0, death - 1) // 2] if death > 1 else max(buckets)
    # Until hardly anything is left to be had.
    last = (times[len(times) * 98 // 100] - first) // width
    slow = [at for at in range(death, last) if buckets[at] < 0.9 * usual]
    say("  %s/s before the first death; after it, while there was work, %d of %d s below 0.9 of "
        "that, the lowest %s/s"
        % (number(usual), len(slow), last - death,
           number(min([buckets[at] for at in range(death, last)] or [usual]))))
    say("  deaths at %s s; the poison is dead after %s s; full throughput again %s s after the "
        "first death" % (
            " ".join("%.1f" % ((moment - first) / 1e9) for moment in deaths),
            "%.1f" % ((dead - first) / 1e9) if dead else "-",
            max(slow) + 1 - death if slow else 0))
    say("  messages in each second: " + " ".join(str(count) for count in buckets))
