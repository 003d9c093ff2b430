"""Ordered, atomic, retried and dead-lettered traffic while the broker dies, and what its clients saw.

The load is `chaski bench delivery`, whose history this judges: nothing but what the clients themselves
recorded counts as evidence.
"""

import os
import signal
import subprocess
import time

from harness import (
    Broker, Disk, Workspace, boot_nanos, chooser, end_progress, need_root, progress, say)

# What may be between a retry's due time and its delivery, milliseconds.
LATENESS = (-1, 5, 20, 100, 500, 1_000, 2_000, 5_000, 10_000, 30_000)
CHECKS = (
    "lost", "phantom", "duplicated", "changed", "reordered", "outOfKeyOrder", "redeliveredAfterVerdict",
    "tokenRepeated", "earlyRetry", "outputMissing", "outputTwice", "outputUnexpected", "notDead",
    "deadUnexpected", "notForwarded", "forwardedTwice", "forwardedUnexpected", "unsettled")
KEYS = 97
FINAL = ("ack", "atomic", "fail")


class Message:
    """One message by its value (producer, number)."""

    __slots__ = ("fate", "detour", "outcome", "offset", "logged")

    def __init__(self, fate, detour):
        self.fate = fate
        self.detour = detour
        self.outcome = "s"
        self.offset = None
        self.logged = None


class Place:
    """What happened at one offset of the first topic."""

    __slots__ = ("value", "token", "final", "retry")

    def __init__(self):
        self.value = None
        self.token = None
        self.final = None
        # Of a retry that was confirmed and did not come again yet: delay, sent, confirmed.
        self.retry = None


class Judge:
    """Reads a history line by line, then tells what is wrong with it."""

    def __init__(self, faults=()):
        self.messages = {}
        self.places = {}
        self.first = {}
        self.waiting = {}
        self.counts = dict.fromkeys(
            ("sent", "ok", "fail", "indeterminate", "delivered", "redelivered", "ack", "atomic",
             "retry", "release", "failed", "unconfirmed", "in", "out", "dead", "deadLetters",
             "faults", "effectiveFaults"), 0)
        self.broken = dict.fromkeys(CHECKS, 0)
        self.examples = []
        self.marks = set()
        self.outputs = {}
        # Source and key of the second topic's messages, in the order of their offsets.
        self.in_order = []
        self.copies = {}
        self.letters = {}
        self.lateness = [0] * (len(LATENESS) + 1)
        self.undisturbed = [0] * (len(LATENESS) + 1)
        self.faults = sorted(faults)
        self.pending = list(reversed(self.faults))
        self.since_fault = 0
        self.is_hit = False

    def report(self, check, text):
        self.broken[check] += 1
        if self.broken[check] <= 5:
            self.examples.append("%s: %s" % (check, text))

    def read(self, path):
        with open(path, encoding="ascii") as history:
            for number, line in enumerate(history, 1):
                fields = line.split()
                try:
                    getattr(self, "on_" + fields[0])(fields)
                except (AttributeError, IndexError, KeyError, ValueError) as problem:
                    raise RuntimeError("line %d is no event: %r (%r)" % (number, line, problem))

    # What producers saw.

    def on_s(self, fields):
        self.counts["sent"] += 1
        self.messages[int(fields[1]), int(fields[2])] = Message(fields[3], fields[4])

    def on_o(self, fields):
        message = self.messages[int(fields[1]), int(fields[2])]
        message.outcome = "o"
        message.offset = int(fields[3])
        self.counts["ok"] += 1
        self.since_fault += 1
        if self.is_hit:
            self.counts["effectiveFaults"] += 1
            self.is_hit = False

    def on_f(self, fields):
        self.messages[int(fields[1]), int(fields[2])].outcome = "f"
        self.counts["fail"] += 1

    def on_i(self, fields):
        self.messages[int(fields[1]), int(fields[2])].outcome = "i"
        self.counts["indeterminate"] += 1

    # What consumers saw.

    def on_d(self, fields):
        offset, token = int(fields[1]), (int(fields[2]), int(fields[3]))
        failed, nanos = int(fields[6]), int(fields[7])
        self.counts["delivered"] += 1
        if fields[4] == "-":
            return self.report("phantom", "foreign bytes were delivered at offset %d" % offset)
        value = (int(fields[4]), int(fields[5]))
        message = self.messages.get(value)
        if message is None or message.outcome == "f":
            return self.report("phantom", "%s was delivered at offset %d" % (value, offset))
        place = self.places.setdefault(offset, Place())
        if place.value is not None and place.value != value:
            self.report("changed", "offset %d held %s, then %s" % (offset, place.value, value))
        place.value = value
        if place.token is not None:
            self.counts["redelivered"] += 1
            # The epoch rises when a session keeps a delivery over a restart; the number does not.
            if token[1] <= place.token[1]:
                self.report(
                    "tokenRepeated", "offset %d: hand-out %d after %d"
                    % (offset, token[1], place.token[1]))
        if place.final is not None and token[1] > place.final[1]:
            self.report(
                "redeliveredAfterVerdict", "offset %d: %s of hand-out %d was confirmed, then %d came"
                % (offset, place.final[0], place.final[1], token[1]))
        place.token = token
        key = value[1] % KEYS
        if failed == 0 and token[1] == 1:
            if offset < self.first.get(key, 0):
                self.report(
                    "outOfKeyOrder", "key %d: offset %d was handed out first after %d"
                    % (key, offset, self.first[key]))
            self.first[key] = max(self.first.get(key, 0), offset)
        if place.retry is not None and token[1] > place.retry[0]:
            self.came_again(offset, place, nanos)
            self.waiting.get(key, {}).pop(offset, None)

    def came_again(self, offset, place, nanos):
        _, delay, sent, confirmed = place.retry
        place.retry = None
        if delay < 0:
            return
        if nanos < sent + delay - 1_000_000:
            self.report(
                "earlyRetry", "offset %d came %.1f ms before it was due"
                % (offset, (sent + delay - nanos) / 1e6))
        late = (nanos - confirmed - delay) / 1e6
        at = next((n for n, bound in enumerate(LATENESS) if late < bound), len(LATENESS))
        self.lateness[at] += 1
        low, high = confirmed + delay - 3_000_000_000, nanos
        if not any(low <= fault <= high for fault in self.faults):
            self.undisturbed[at] += 1

    def on_v(self, fields):
        verb, offset, token = fields[1], int(fields[2]), (int(fields[3]), int(fields[4]))
        self.counts["failed" if verb == "fail" else verb] += 1
        place = self.places[offset]
        key = place.value[1] % KEYS
        waiting = self.waiting.setdefault(key, {})
        if verb == "retry":
            if place.token[1] == token[1]:
                place.retry = (token[1], int(fields[5]), int(fields[6]), int(fields[7]))
                waiting[offset] = token[1]
            return
        if verb not in FINAL:
            return
        if place.token[1] > token[1]:
            self.report(
                "redeliveredAfterVerdict", "offset %d: hand-out %d was out, and the %s of %d was confirmed"
                % (offset, place.token[1], verb, token[1]))
        place.final = (verb, token[1])
        # A message before it that is known to wait for its retry is not done with, and not dead.
        for earlier in waiting:
            if earlier < offset and not self.may_be_dead(earlier):
                self.report(
                    "outOfKeyOrder", "key %d: %s of offset %d was confirmed while %d waits for its retry"
                    % (key, verb, offset, earlier))

    def may_be_dead(self, offset):
        return self.messages[self.places[offset].value].fate in ("exhaust", "fail")

    def on_x(self, fields):
        self.counts["unconfirmed"] += 1

    # What was read at the end.

    def on_l(self, fields):
        topic, offset, intact = fields[1], int(fields[2]), fields[5] == "1"
        self.counts[topic] += 1
        value = None if fields[3] == "-" else (int(fields[3]), int(fields[4]))
        message = self.messages.get(value)
        if message is None:
            return self.report("phantom", "offset %d of %s: nobody published it" % (offset, topic))
        if not intact:
            self.report("changed", "offset %d of %s: %s with other bytes" % (offset, topic, value))
        if topic == "in":
            if message.logged is not None:
                self.report("duplicated", "%s is at %d and %d" % (value, message.logged, offset))
            message.logged = offset
            place = self.places.get(offset)
            if place is not None and place.value != value:
                self.report("changed", "offset %d was delivered as %s, and is %s"
                            % (offset, place.value, value))
            return
        if topic == "out":
            self.in_order.append((int(fields[6]), value[1] % KEYS))
        found = self.outputs if topic == "out" else self.copies
        found.setdefault(value, []).append((offset, int(fields[6])))

    def on_L(self, fields):
        self.counts["deadLetters"] += 1
        self.letters[int(fields[1])] = (fields[2], int(fields[3]))

    def on_t(self, fields):
        nanos = int(fields[1])
        while self.pending and self.pending[-1] <= nanos:
            self.pending.pop()
            self.counts["faults"] += 1
            # Effective: OKs came before it, and one comes after it.
            self.is_hit = self.is_hit or self.since_fault > 0
            self.since_fault = 0
        self.marks.add(fields[2])

    # The end.

    def verdict(self, least_ok, least_unknown, least_faults):
        missing = [
            "%s did not come about" % mark
            for mark in ("drained", "audited-in", "audited-out", "audited-dead", "listed", "end")
            if mark not in self.marks]
        if not missing:
            self.check_input()
            self.check_ends()
            self.check_output_order()
        for name, least in (
                ("ok", least_ok), ("indeterminate", least_unknown), ("effectiveFaults", least_faults)):
            if self.counts[name] < least:
                missing.append("%d %s, at least %d needed" % (self.counts[name], name, least))
        if any(self.broken.values()):
            outcome = "violated"
        else:
            outcome = "inconclusive" if missing else "held"
        return {
            "verdict": outcome, "counts": self.counts, "violations": self.broken,
            "examples": self.examples, "missing": missing}

    def check_input(self):
        last = {}
        for value, message in sorted(self.messages.items()):
            if message.outcome == "o" and message.logged is None:
                self.report("lost", "%s was OK at offset %d" % (value, message.offset))
            elif message.outcome == "o" and message.logged != message.offset:
                self.report("duplicated", "%s was OK at %d, and is at %d"
                            % (value, message.offset, message.logged))
            elif message.outcome == "f" and message.logged is not None:
                self.report("phantom", "%s was FAIL and is at %d" % (value, message.logged))
            if message.logged is None:
                continue
            if message.logged < last.get(value[0], -1):
                self.report("reordered", "%s is at %d, after one at %d"
                            % (value, message.logged, last[value[0]]))
            last[value[0]] = max(message.logged, last.get(value[0], -1))

    def check_ends(self):
        """Each message that is stored came to the end that was meant for it, once."""
        stored = {v: m for v, m in self.messages.items() if m.logged is not None}
        for value, message in stored.items():
            outputs = self.outputs.pop(value, [])
            copies = self.copies.pop(value, [])
            letter = self.letters.pop(message.logged, None)
            if message.logged not in self.places:
                self.report("unsettled", "%s at %d was never delivered" % (value, message.logged))
            wanted = 1 if message.fate == "atomic" else 0
            if len(outputs) < wanted:
                self.report("outputMissing", "%s at %d" % (value, message.logged))
            elif wanted == 0 and outputs:
                self.report("outputUnexpected", "%s at %s, meant to %s" % (value, outputs, message.fate))
            elif len(outputs) > wanted:
                self.report("outputTwice", "%s at %s" % (value, outputs))
            is_dead = message.fate in ("exhaust", "fail")
            cause = {"exhaust": "maximum-failures", "fail": "failed-on-purpose"}.get(message.fate)
            if is_dead and (letter is None or letter[0] != cause):
                self.report("notDead", "%s at %d: %s" % (value, message.logged, letter))
            if not is_dead and letter is not None:
                self.report("deadUnexpected", "%s at %d: %s" % (value, message.logged, letter))
            if is_dead and not copies:
                self.report("notForwarded", "%s at %d" % (value, message.logged))
            if is_dead and len(copies) > 1:
                self.report("forwardedTwice", "%s at %s" % (value, copies))
            if not is_dead and copies:
                self.report("forwardedUnexpected", "%s at %s" % (value, copies))
            for offset, source in outputs + copies:
                if source != message.logged:
                    self.report("changed", "%s says that it was made of %d, and is of %d"
                                % (value, source, message.logged))
        for value, outputs in self.outputs.items():
            self.report("outputUnexpected", "%s at %s, which is not stored" % (value, outputs))
        for value, copies in self.copies.items():
            self.report("forwardedUnexpected", "%s at %s, which is not stored" % (value, copies))
        for offset, letter in self.letters.items():
            self.report("deadUnexpected", "offset %d: %s" % (offset, letter))

    def check_output_order(self):
        """What was published and acknowledged at once is in the order of its key."""
        last = {}
        for source, key in self.in_order:
            if source < last.get(key, -1):
                self.report("outOfKeyOrder", "key %d: %d came out after %d" % (key, source, last[key]))
            last[key] = max(source, last.get(key, -1))

    def histogram(self):
        """Lines: how late retries with a given delay came."""
        lines = ["  retry against the due time counted from its confirmation (ms): all, and those without a fault near:"]
        for n, (count, calm) in enumerate(zip(self.lateness, self.undisturbed)):
            low = "" if n == 0 else "%d to " % LATENESS[n - 1]
            high = "more" if n == len(LATENESS) else "%d" % LATENESS[n]
            lines.append("    %16s %9d %9d" % ((low or "below ") + high, count, calm))
        return lines


class Load:
    """chaski bench delivery, and the judgement on its records."""

    def __init__(self, binary, address, folder, rate):
        self.history = os.path.join(folder, "history")
        self.faults = os.path.join(folder, "faults")
        open(self.faults, "w").close()
        self.log = os.path.join(folder, "delivery.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [binary, "bench", "delivery", "--server", address, "--history", self.history,
                 "--rate", str(rate)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def note(self, kind):
        """Records a fault, at the moment before it is done."""
        with open(self.faults, "a") as faults:
            faults.write("%d %s\n" % (boot_nanos(), kind))

    def tail(self):
        with open(self.log, "rb") as log:
            return b"\n".join(log.read().splitlines()[-8:]).decode("utf-8", "replace")

    def need_alive(self):
        if self.process.poll() is not None:
            raise RuntimeError("bench delivery ended early:\n" + self.tail())

    def wait_started(self, timeout=30.0):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.need_alive()
            if os.path.exists(self.history) and os.path.getsize(self.history) > 65_536:
                return
            time.sleep(0.05)
        raise RuntimeError("bench delivery published nothing:\n" + self.tail())

    def finish(self, timeout=600.0):
        """Ends the load and lets the consumers catch up."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout)
        if code != 0:
            say("  bench delivery ended with %d:\n%s" % (code, self.tail()))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def read_faults(path):
    with open(path) as lines:
        return [int(line.split()[0]) for line in lines]


def judge(history, faults, options):
    found = Judge(read_faults(faults))
    found.read(history)
    verdict = found.verdict(options.least_messages, 20, 5)
    for kind in ("counts", "violations"):
        items = list(verdict[kind].items())
        for start in range(0, len(items), 6):
            say("  " + "  ".join("%s %s" % item for item in items[start:start + 6]))
    for line in found.histogram():
        say(line)
    for example in verdict["examples"][:20]:
        say("  violation: " + example)
    for missing in verdict["missing"]:
        say("  no verdict: " + missing)
    say("  verdict: " + verdict["verdict"])
    return {"held": 0, "violated": 1}.get(verdict["verdict"], 75)


def mistakes(lines):
    """What is wrong, and a history in which it is: each must be found."""
    places = {}
    for number, line in enumerate(lines):
        places.setdefault(" ".join(line.split()[:2 if line[0] in "lv" else 1]), []).append(number)

    def without(kind):
        number = places[kind][len(places[kind]) // 2]
        return lines[:number] + lines[number + 1:]

    def swapped(kind):
        first = places[kind][len(places[kind]) // 2]
        key = int(lines[first].split()[4]) % KEYS
        second = next(n for n in places[kind] if n > first and int(lines[n].split()[4]) % KEYS == key)
        changed = list(lines)
        changed[first], changed[second] = lines[second], lines[first]
        return changed

    output = places["l out"][0]
    acked = lines[places["v ack"][0]].split()
    again = next(lines[n] for n in places["d"] if lines[n].split()[1] == acked[2]).split()
    again[3] = str(int(acked[4]) + 1)
    late = next(n for n in places["v retry"] if int(lines[n].split()[5]) > 0)
    retry = lines[late].split()
    retry[5] = str(int(retry[5]) + 60_000_000_000)
    end = max(n for n in places["t"] if lines[n].endswith(" drained"))
    return {
        "lost": without("l in"),
        "outputMissing": without("l out"),
        "outputTwice": lines[:output] + [lines[output]] + lines[output:],
        "notForwarded": without("l dead"),
        "notDead": without("L"),
        "redeliveredAfterVerdict": lines[:end] + [" ".join(again)] + lines[end:],
        "earlyRetry": lines[:late] + [" ".join(retry)] + lines[late + 1:],
        "outOfKeyOrder": swapped("l out"),
    }


def check_judge(load, folder):
    """Whether the judge finds what was put into a history that held."""
    with open(load.history, encoding="ascii") as history:
        lines = history.read().splitlines()
    path = os.path.join(folder, "mistaken")
    found_all = True
    for check, changed in mistakes(lines).items():
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(changed) + "\n")
        found = Judge(read_faults(load.faults))
        found.read(path)
        found.verdict(0, 0, 0)
        if found.broken[check] == 0:
            found_all = False
            say("  the judge does not see: " + check)
    if found_all:
        say("  the judge sees each of %d mistakes put into the history" % len(mistakes(lines)))
    return found_all


def delivery(options):
    """kill -9 every 1 to 5 s, or power cuts, under ordered, atomic, retried and dying messages."""
    if options.history:
        return judge(options.history, options.history_faults, options)
    if options.power_cuts:
        need_root()
    choose = chooser(options.seed)
    with Workspace("delivery", options.keep, options.folder) as space:
        disk = None
        data = space.file("data")
        if options.power_cuts:
            disk = space.add(Disk(space.path, 6_144))
            disk.mount()
            data = os.path.join(disk.mountpoint, "data")
        broker = space.add(Broker(options.binary, data, space.file("broker.log")))
        broker.start()
        os.mkdir(space.file("client"))
        load = space.add(Load(options.binary, broker.address, space.file("client"), options.rate))
        load.wait_started()
        restarts = []
        kind = "power-cut" if disk else "kill9"
        end = time.monotonic() + 60 * options.minutes
        while time.monotonic() < end or (disk and len(restarts) < (options.rounds or 20)):
            time.sleep(choose.uniform(1.0, 5.0))
            load.note(kind)
            if disk:
                broker.freeze()
                disk.cut_power()
            broker.kill()
            if disk:
                disk.unmount()
                disk.mount()
            # Now and then long enough for publishes to be given up with an unknown outcome.
            time.sleep(0.8 if len(restarts) % 4 == 3 else 0.0)
            restarts.append(broker.start())
            progress("%s %d, restarted in %.2f s" % (kind, len(restarts), restarts[-1]))
            load.need_alive()
        end_progress()
        time.sleep(2)
        load.finish()
        code = broker.stop()
        say("delivery: %d times %s, restart at most %.2f s, drain exit %d"
            % (len(restarts), kind, max(restarts), code))
        result = judge(load.history, load.faults, options)
        if result == 0 and options.check_judge and not check_judge(load, space.path):
            result = 1
        space.keep = space.keep or result == 1
        return result
