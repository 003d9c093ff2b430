"""What a user can do wrong: one clear sentence with a code each, and nothing breaks."""

import json
import os
import socket
import struct
import subprocess

from figures import hello
from harness import Broker, Workspace, free_port, say


class Ledger:
    def __init__(self):
        self.failed = 0

    def check(self, name, done, status, word):
        lines = [line for line in done.stderr.strip().splitlines() if line.startswith("chaski: ")]
        text = lines[-1] if lines else done.stderr.strip()
        good = done.returncode == status and word in text and len(lines) == 1
        self.failed += 0 if good else 1
        say("  %s %-22s exit %d  %s" % ("ok  " if good else "FAIL", name, done.returncode, text))

    def note(self, name, good, text):
        self.failed += 0 if good else 1
        say("  %s %-22s %s" % ("ok  " if good else "FAIL", name, text))


def run(*arguments, timeout=30.0, input=None):
    return subprocess.run(
        list(arguments), capture_output=True, text=True, timeout=timeout, input=input)


def closed_with(port, data):
    """Sends bytes; whether the broker ended the connection, and what it said before."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(10)
        answer = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while True:
                got = connection.recv(65_536)
                if not got:
                    return True, answer
                answer += got
        except TimeoutError:
            return False, answer
        except OSError:
            return True, answer


def bad_input(options):
    ledger = Ledger()
    with Workspace("bad-input", options.keep, options.folder) as space:
        broker = space.add(Broker(options.binary, space.file("data"), space.file("broker.log")))
        broker.start()
        chaski = options.binary
        say("bad-input:")
        ledger.check("unknown topic", broker.cli("publish", "nowhere", "x", check=False), 66,
                     "there is no topic \"nowhere\"; see `chaski topic list`")
        ledger.check("unknown subscription", broker.cli("subscribe", "nobody", check=False), 66,
                     "unknown-subscription")
        ledger.check("unknown namespace",
                     broker.cli("topic", "list", "--namespace", "other", check=False), 66,
                     "unknown-namespace")
        broker.cli("topic", "create", "t")
        ledger.check("topic exists", broker.cli("topic", "create", "t", check=False), 73,
                     "already-exists")
        ledger.check("bad name", broker.cli("topic", "create", "a\tb", check=False), 65,
                     "invalid-name")
        ledger.check("blank name", broker.cli("topic", "create", " ", check=False), 65,
                     "begins or ends with white space")
        big = space.file("big")
        with open(big, "wb") as file:
            file.write(bytes(3 << 20))
        ledger.check("oversize message",
                     broker.cli("publish", "t", "--file", big, check=False), 65, "too-large")
        ledger.check("bad ndjson", broker.cli(
            "publish", "t", "--ndjson", check=False, input='{"payload":"a"}\n{payload}\n'), 65,
            "line 2")
        ledger.check("no broker", run(
            chaski, "topic", "list", "--server", "127.0.0.1:%d" % free_port()), 69, "chaski serve")
        ledger.check("port in use", run(
            chaski, "serve", "--listen", broker.address, "--data", space.file("other")), 73,
            str(broker.port))
        ledger.check("directory in use", run(
            chaski, "serve", "--listen", "127.0.0.1:%d" % free_port(), "--data", broker.data), 73,
            "data")
        ledger.check("beyond loopback", run(
            chaski, "serve", "--listen", "0.0.0.0:%d" % free_port(), "--data",
            space.file("other")), 64, "--insecure")
        for name, data in (
                ("garbage on the port", os.urandom(4_096)),
                ("HTTP on the port", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
                ("another preface", b"CHASKI9\n" + hello()[8:]),
                ("oversize frame", b"CHASKI1\n" + struct.pack("<IBBHQI", 1 << 31, 1, 0, 0, 0, 8)),
                ("half a frame", hello()[:20])):
            closed, answer = closed_with(broker.port, data)
            ledger.note(name, closed and broker.process.poll() is None,
                        "connection ended after %d bytes" % len(answer))
        future = bytearray(hello())
        start = 28
        future[start:start + 4] = b"\x08\x09\x10\x09"
        closed, answer = closed_with(broker.port, bytes(future))
        ledger.note("another version", closed and b"unsupported-version" in answer,
                    "connection ended, told: %s" % (b"unsupported-version" in answer))
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(1)
            ledger.check("not a broker", run(
                chaski, "topic", "list", "--server", "127.0.0.1:%d" % silent.getsockname()[1]),
                69, "--server")
        broker.cli("publish", "t", "still here")
        ledger.note("still serving", broker.stop() == 0, "drain exit 0")
        damage(space, broker, ledger)
    say("bad-input: %s" % ("held" if ledger.failed == 0 else "%d violated" % ledger.failed))
    return 0 if ledger.failed == 0 else 1


def first_large_batch(broker):
    """The file and the position of a batch of some size, as journal dump tells them."""
    folder = os.path.join(broker.data, "default")
    dump = run(broker.binary, "journal", "dump", folder, "--output", "json")
    file = None
    for line in dump.stdout.splitlines():
        item = json.loads(line)
        if item["kind"] == "group":
            file = item["file"]
        if item["kind"] == "batch" and item["bytes"] > 8_192:
            return os.path.join(folder, "journal-%016x.log" % file), item["position"]
    raise RuntimeError("no large batch in the journal")


def damage(space, broker, ledger):
    """A journal whose middle is not what was written."""
    broker.start()
    broker.cli("publish", "t", input="".join("line %d %s\n" % (n, "x" * 500) for n in range(20_000)))
    broker.stop()
    path, position = first_large_batch(broker)
    with open(path, "r+b") as file:
        file.seek(position + 200)
        file.write(os.urandom(2_048))
    verified = run(broker.binary, "journal", "verify", os.path.join(broker.data, "default"))
    ledger.note("damage is verified", verified.returncode == 1,
                "journal verify exit %d" % verified.returncode)
    started = subprocess.Popen(
        [broker.binary, "serve", "--listen", broker.address, "--data", broker.data],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    space.add(started)
    try:
        _, errors = started.communicate(timeout=10)
        ledger.note("damage is told", started.returncode == 74 and "damaged" in errors,
                    "serve exit %d  %s" % (started.returncode, errors.strip().splitlines()[-1:]))
    except subprocess.TimeoutExpired:
        started.terminate()
        _, errors = started.communicate()
        ledger.note("damage is told", "damaged" in errors, "serves what is left, and says so")
