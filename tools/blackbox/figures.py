"""Scenarios that measure."""

import json
import os
import shutil
import socket
import struct
import subprocess
import time

from harness import Broker, Skip, Workspace, compile_c, end_progress, progress, say


def restart(options):
    """kill -9 with a large journal that nothing may be dropped of; seconds until it listens."""
    wanted = int(options.gibibytes * (1 << 30))
    with Workspace("restart", options.keep, options.folder) as space:
        if shutil.disk_usage(space.path).free < wanted * 8:
            raise Skip("needs %d GiB of free disk" % (wanted * 8 >> 30))
        broker = space.add(Broker(options.binary, space.file("data"), space.file("broker.log")))
        broker.start()
        broker.cli("topic", "create", "t", "--max-bytes", str(wanted * 4))
        broker.cli("subscription", "create", "s", "t")
        written = 0
        while written < wanted:
            broker.cli(
                "bench", "publish", "--topic", "t", "--seconds", "5", "--output", "json",
                timeout=300)
            written = journal_bytes(space.file("data"))
            progress("restart-5g: journal of %.2f GiB" % (written / (1 << 30)))
        end_progress()
        before = broker.json("topic", "describe", "t")
        broker.kill()
        seconds = broker.start(timeout=600)
        after = broker.json("topic", "describe", "t")
        resident = broker.resident_bytes()
        code = broker.stop()
        say("restart-5g: %.2f GiB, %d messages: listens %.2f s after the start, %.0f MiB resident, "
            "drain exit %d"
            % (written / (1 << 30), after["nextOffset"], seconds, resident / (1 << 20), code))
        if after["nextOffset"] < before["nextOffset"]:
            say("  %d messages before the kill: violated" % before["nextOffset"])
            return 1
        clean = broker.start(timeout=600)
        broker.stop()
        say("  after a clean stop: %.2f s" % clean)
        return 0


def journal_bytes(folder):
    """Bytes that are really on disk."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            total += os.stat(os.path.join(path, name)).st_blocks * 512
    return total


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """A protobuf field: an integer, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def hello():
    """The preface and a HELLO frame, as the specification has them."""
    limits = b"".join(
        field(number, value) for number, value in (
            (1, 131_072), (2, 4_194_304), (3, 1_048_576), (4, 1_000), (5, 256), (6, 1_048_576),
            (7, 4_194_304)))
    message = field(1, 1) + field(2, 1) + field(4, b"blackbox") + field(6, limits)
    header = struct.pack("<IBBHQI", len(message), 1, 0, 0, 0, len(message))
    return b"CHASKI1\n" + header + message


def connect(port):
    """A connection that has been welcomed."""
    connection = socket.create_connection(("127.0.0.1", port), 10)
    connection.sendall(hello())
    header = b""
    while len(header) < 20:
        got = connection.recv(20 - len(header))
        if not got:
            raise RuntimeError("the broker closed the connection before WELCOME")
        header += got
    if header[4] != 2:
        raise RuntimeError("frame type %d instead of WELCOME" % header[4])
    return connection


def at_rest(broker, seconds):
    before, began = broker.processor_seconds(), time.monotonic()
    time.sleep(seconds)
    share = (broker.processor_seconds() - before) / (time.monotonic() - began)
    return share * 100, broker.resident_bytes() / (1 << 20)


def idle(options):
    """What a broker costs that does nothing."""
    with Workspace("idle", options.keep, options.folder) as space:
        broker = space.add(Broker(options.binary, space.file("data"), space.file("broker.log")))
        seconds = broker.start()
        time.sleep(2)
        share, resident = at_rest(broker, options.seconds)
        say("idle: listens after %.2f s; %.2f %% of a CPU, %.1f MiB resident, %d threads"
            % (seconds, share, resident, broker.threads()))
        connections = [connect(broker.port) for _ in range(1_000)]
        time.sleep(2)
        share, more = at_rest(broker, options.seconds)
        say("idle with 1,000 connections: %.2f %% of a CPU, %.1f MiB resident (%.1f KiB each)"
            % (share, more, (more - resident) * 1024 / 1_000))
        for connection in connections:
            connection.close()
        time.sleep(2)
        share, rest = at_rest(broker, min(options.seconds, 5))
        say("idle after they left: %.2f %% of a CPU, %.1f MiB resident" % (share, rest))
        code = broker.stop()
        say("  drain exit %d" % code)
        return 0 if code == 0 else 1


def baseline(options):
    """The same bytes in the same group sizes, one fdatasync each, without a broker."""
    with Workspace("baseline", options.keep, options.folder) as space:
        say(json.dumps(plain_loop(space, options.group_bytes, options.messages, options.seconds)))
        return 0


def plain_loop(space, group_bytes, messages, seconds):
    """What disk-baseline.c reaches with groups of so many bytes and messages."""
    program = space.file("disk-baseline")
    if not os.path.exists(program):
        compile_c("disk-baseline.c", program)
    done = subprocess.run(
        [program, space.path, str(int(group_bytes)), str(seconds), str(messages)],
        check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def speed(options):
    """chaski bench, each beside the plain C loop of the same groups in the same minute."""
    rate = 450_000
    runs = [
        ("publish, whole batches", ["publish"]),
        ("publish, one a call from 1,000 tasks", ["publish", "--mode", "single"]),
        ("subscribe, single acks in shuffled order",
         ["subscribe", "--messages", str(int(rate * max(options.seconds, 1)))]),
    ]
    with Workspace("speed", options.keep, options.folder) as space:
        counter = compile_c(
            "count-allocations.c", space.file("count-allocations.so"), "-shared", "-fPIC")
        for number, (title, arguments) in enumerate(runs):
            broker = space.add(
                Broker(
                    options.binary, space.file("data-%d" % number), space.file("broker.log"),
                    environment={"LD_PRELOAD": counter}))
            broker.start()
            result = json.loads(
                broker.cli(
                    "bench", *arguments, "--seconds", "%gs" % options.seconds,
                    "--output", "json", timeout=options.seconds * 10 + 120).stdout)
            storage, messages = result["storage"], result["messages"]
            group = storage["bytesWritten"] / max(1, storage["syncs"])
            share = messages / max(1, storage["syncs"])
            plain = plain_loop(space, group, share, 5)
            latency = result["latency"]
            say("%s: %s messages/s for %.1f s, %s p50 %.2f ms, p99 %.2f ms"
                % (title, "{:,.0f}".format(result["messagesPerSecond"]), result["seconds"],
                   result["latencyOf"], latency["p50Nanos"] / 1e6, latency["p99Nanos"] / 1e6))
            say("  %.0f syncs/s of %.1f KiB and %.0f messages; %.3f allocations a message in the "
                "broker"
                % (storage["syncsPerSecond"], group / 1024, share,
                   storage["allocations"] / max(1, messages)))
            say("  the plain C loop, right after it: %s messages/s; ratio %.2f"
                % ("{:,.0f}".format(plain["messagesPerSecond"]),
                   result["messagesPerSecond"] / plain["messagesPerSecond"]))
            broker.stop()
            shutil.rmtree(broker.data, ignore_errors=True)
        broker = space.add(Broker(options.binary, space.file("data"), space.file("broker.log")))
        broker.start()
        pingpong = broker.cli(
            "bench", "pingpong", "--data", broker.data, "--seconds",
            "%gs" % min(options.seconds, 10), "--output", "plain").stdout
        say("pingpong, one message in flight:")
        for line in pingpong.splitlines():
            say("  " + line)
        broker.stop()
        return 0
