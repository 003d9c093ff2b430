"""Scenarios that break something under load and then ask the clients' records."""

import os
import signal
import time

from harness import (
    Broker, Disk, Verifier, Workspace, chooser, compile_c, end_progress, need_root, progress, say,
    show_verdict)


def judged(space, verdict):
    """Shows the verdict, keeps the evidence of a violation, and returns the exit status."""
    show_verdict(verdict)
    if verdict["verdict"] == "violated":
        space.keep = True
    return {"held": 0, "violated": 1}.get(verdict["verdict"], 75)


def rounds_of(options, verifier):
    """The numbers of the rounds: as many as asked for, and up to four times as many until the
    clients have the unknown outcomes that a verdict needs.

    A broker that answers within a millisecond has next to nothing in flight when it is hit: on a
    fast machine it takes more hits.
    """
    rounds = options.rounds or 20
    number = 0
    while number < rounds or (number < 4 * rounds and verifier.unknown_outcomes() < 20):
        number += 1
        yield number


def power_cut(options):
    """The disk loses power; the broker dies; disk and broker come back."""
    need_root()
    choose = chooser(options.seed)
    with Workspace("power-cut", options.keep, options.folder) as space:
        environment = {}
        if options.lying_sync:
            shim = compile_c("lying-sync.c", space.file("lying-sync.so"), "-shared", "-fPIC")
            environment["LD_PRELOAD"] = shim
        disk = space.add(Disk(space.path, 4_096))
        disk.mount()
        broker = space.add(
            Broker(
                options.binary, os.path.join(disk.mountpoint, "data"), space.file("broker.log"),
                environment=environment))
        broker.start()
        os.mkdir(space.file("client"))
        verifier = space.add(
            Verifier(options.binary, broker.address, space.file("client"), options.rate))
        verifier.wait_started()
        restarts = []
        for number in rounds_of(options, verifier):
            time.sleep(choose.uniform(0.7, 2.5))
            verifier.note("power-cut")
            # Processor and disk stop together: a process that went on while its disk is dead could
            # say what no machine without power says.
            if not options.living:
                broker.freeze()
            disk.cut_power()
            if options.living:
                time.sleep(choose.uniform(0.0, 0.3))
            broker.kill()
            disk.unmount()
            disk.mount()
            # Long enough every other time for publishes to be given up with an unknown outcome.
            time.sleep(0.8 if number % 2 == 0 else 0.0)
            try:
                restarts.append(broker.start())
            except RuntimeError as problem:
                end_progress()
                say("  round %d: %s" % (number, problem))
                if options.lying_sync:
                    say("power-cut: caught: the broker without syncs refuses its own damaged data")
                    return 1
                raise
            progress("power-cut %d, restarted in %.2f s" % (number, restarts[-1]))
            if not verifier.alive():
                raise RuntimeError("bench verify ended early:\n" + verifier.tail())
        end_progress()
        time.sleep(2)
        verdict = verifier.finish()
        code = broker.stop()
        say("power-cut: %d cuts, restart at most %.2f s, drain exit %d"
            % (len(restarts), max(restarts), code))
        return judged(space, verdict)


def kill9(options):
    """The process dies; the page cache survives."""
    choose = chooser(options.seed)
    with Workspace("kill9", options.keep, options.folder) as space:
        broker = space.add(Broker(options.binary, space.file("data"), space.file("broker.log")))
        broker.start()
        os.mkdir(space.file("client"))
        verifier = space.add(
            Verifier(options.binary, broker.address, space.file("client"), options.rate))
        verifier.wait_started()
        restarts = []
        for number in rounds_of(options, verifier):
            time.sleep(choose.uniform(0.5, 2.5))
            verifier.note("kill9")
            broker.kill()
            # Long enough every other time for publishes to be given up with an unknown outcome.
            time.sleep(0.8 if number % 2 == 0 else 0.0)
            restarts.append(broker.start())
            progress("kill9 %d, restarted in %.2f s" % (number, restarts[-1]))
            if not verifier.alive():
                raise RuntimeError("bench verify ended early:\n" + verifier.tail())
        end_progress()
        time.sleep(2)
        verdict = verifier.finish()
        code = broker.stop()
        say("kill9: %d kills, restart at most %.2f s, drain exit %d"
            % (len(restarts), max(restarts), code))
        return judged(space, verdict)


def sigstop(options):
    """The process stands still for longer than leases last, and goes on."""
    rounds = options.rounds or 5
    with Workspace("sigstop", options.keep, options.folder) as space:
        broker = space.add(Broker(options.binary, space.file("data"), space.file("broker.log")))
        broker.start()
        os.mkdir(space.file("client"))
        verifier = space.add(
            Verifier(options.binary, broker.address, space.file("client"), options.rate))
        verifier.wait_started()
        for number in range(1, rounds + 1):
            time.sleep(3)
            verifier.note("sigstop")
            broker.signal(signal.SIGSTOP)
            try:
                progress("sigstop %d/%d, stopped for %.0f s" % (number, rounds, options.pause))
                time.sleep(options.pause)
            finally:
                broker.signal(signal.SIGCONT)
        end_progress()
        time.sleep(5)
        verdict = verifier.finish()
        code = broker.stop()
        say("sigstop: %d pauses of %.0f s, drain exit %d" % (rounds, options.pause, code))
        return judged(space, verdict)


def publish_until_refused(broker):
    """Publishes blocks of 20,000 messages: how many were taken, and the refusal, if one came."""
    block = "".join("x" * 900 + " %d\n" % n for n in range(20_000))
    for number in range(40):
        done = broker.cli("publish", "t", "--output", "json", check=False, input=block)
        if done.returncode != 0:
            return number * 20_000, done
    return 800_000, None


def wait_resumed(broker):
    """Seconds until a publish is taken again; none after 30 s."""
    began = time.monotonic()
    while time.monotonic() - began < 30:
        if broker.cli("publish", "t", "resumed", check=False).returncode == 0:
            return time.monotonic() - began
    return None


def full_disk(options):
    """Publishes are refused with a code, acks go on, and publishing resumes by itself, when all is
    acked as well as when space is freed."""
    need_root()
    with Workspace("full-disk", options.keep, options.folder) as space:
        disk = space.add(Disk(space.path, 768))
        disk.mount()
        broker = space.add(
            Broker(
                options.binary, os.path.join(disk.mountpoint, "data"), space.file("broker.log")))
        broker.start()
        broker.cli("topic", "create", "t")
        broker.cli("subscription", "create", "s", "t")
        broker.cli("publish", "t", input="".join("before %d\n" % n for n in range(20_000)))
        ballast = os.path.join(disk.mountpoint, "ballast")
        with open(ballast, "wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
                    file.flush()
            except OSError:
                pass
        stored, refused = publish_until_refused(broker)
        if refused is None:
            say("full-disk: publishing was never refused: violated")
            return 1
        say("full-disk: refused after %d more messages, exit %d\n  %s"
            % (stored, refused.returncode, refused.stderr.strip().splitlines()[-1]))
        if "disk-full" not in refused.stderr or refused.returncode != 75:
            say("  the refusal does not say disk-full with exit status 75: violated")
            return 1
        began = time.monotonic()
        taken = broker.cli("subscribe", "s", "--count", "10000", "--format", "%o\\n")
        acked = broker.json("subscription", "describe", "s")["acked"]
        say("  acks on the full disk: %d confirmed in %.1f s" % (acked, time.monotonic() - began))
        if len(taken.stdout.splitlines()) != 10_000 or acked < 10_000:
            say("  not all of 10,000 acks were confirmed: violated")
            return 1
        again = broker.cli("publish", "t", "still full", check=False)
        if again.returncode != 75:
            say("  a single publish ended with %d instead of 75: violated" % again.returncode)
            return 1
        left = broker.json("subscription", "describe", "s")["backlog"]
        broker.cli("subscribe", "s", "--count", str(left), "--format", "%o\\n")
        resumed = wait_resumed(broker)
        if resumed is None:
            say("  publishing did not resume within 30 s of the last ack: violated")
            return 1
        say("  publishing resumed by itself %.1f s after all was acked" % resumed)
        if publish_until_refused(broker)[1] is None:
            say("full-disk: publishing was not refused a second time: violated")
            return 1
        os.remove(ballast)
        resumed = wait_resumed(broker)
        if resumed is None:
            say("  publishing did not resume within 30 s of free space: violated")
            return 1
        say("  publishing resumed by itself %.1f s after space was freed" % resumed)
        code = broker.stop()
        broker.start()
        topic = broker.json("topic", "describe", "t")
        broker.stop()
        say("  drain exit %d, after a restart the next offset is %d; verdict: held"
            % (code, topic["nextOffset"]))
        return 0
