import ChaskiBroker
import ChaskiModel

/// INVARIANTS section 8: what must happen, and how soon, once nothing goes wrong any more.
extension Simulation {
    /// What this run's disk may take at most for what waits in front of a request, and for its own
    /// group: a group or maintenance under way, one that comes between, and its own, each sixteen
    /// times as slow as the mean.
    private var diskNanos: Int64 { 48 * plan.syncNanos }

    /// How late a retry may be: max(100 ms, 1 % of its delay), of which ours have 20 s at most; and
    /// what the disk takes for the group that makes its moment durable.
    private var retrySlackNanos: Int64 { 200_000_000 + diskNanos }

    /// How soon publishes go on when a full disk has room: 5 s, and ten times what the host's
    /// maintenance may sleep.
    private static let roomNanos: Int64 = 15_000_000_000

    /// How long a publish may take at rest: 1 s, and what this run's network and disk take at most.
    var publishLimitNanos: Int64 {
        1_000_000_000 + 64 * plan.networkNanos + diskNanos
    }

    /// Whether nothing goes wrong from the probe on: a sweep's fault may come as late as that.
    var isProbeUndisturbed: Bool {
        !isFaultToCome && probedLife == host.life && host.isServing && !host.hasFailed
    }

    /// Whether a connection carries both ways, as far as the world knows.
    func isHealthy(_ number: Int) -> Bool {
        guard connections[number].life == host.life, !connections[number].isCut else {
            return false
        }
        guard let wire = wires[number] else { return now >= connections[number].lastAtBroker }
        return !wire.toBroker.isDead && !wire.toClient.isDead && now >= wire.toBroker.stalledUntil
            && now >= wire.toClient.stalledUntil
    }

    /// Retries that are due are not waiting any more, once the broker runs and has room for verdicts
    /// again.
    func checkRetries() {
        guard host.isServing, let machine = host.machine, now >= host.pausedUntil,
            host.refusal == nil
        else {
            atRestSince = now
            return
        }
        guard now >= max(atRestSince, host.servingSince) + retrySlackNanos else { return }
        let clock = host.now.clock
        for subscription in oracle.subscriptionOrder where !subscription.removed {
            for index in subscription.window where subscription.messages[index].state == .waiting {
                guard
                    case .waiting(_, let due)? = machine.messageState(
                        subscription: subscription.name, offset: Offset(index)),
                    clock > due + retrySlackNanos
                else { continue }
                oracle.violated(
                    "liveness",
                    "the retry of \(subscription.name)@\(index) is \(clock - due) ns late")
            }
        }
    }

    /// The disk has room again: publishes must soon be taken.
    func expectRoom() {
        roomSince = now
        queue.schedule(.roomExpected(life: host.life), at: now + Self.roomNanos)
    }

    func roomExpected(_ life: Int) {
        // A process that was stopped has its time afterwards.
        let awake = host.pausedUntil + Self.roomNanos
        guard now >= awake else {
            return queue.schedule(.roomExpected(life: life), at: awake)
        }
        guard host.isServing, host.life == life, !isDiskFull, !host.hasFailed,
            host.refusal?.reason == .diskFull
        else { return }
        // It was full once more since, or the process was stopped.
        let due = max(roomSince, host.pausedUntil) + Self.roomNanos
        guard now >= due else { return queue.schedule(.roomExpected(life: life), at: due) }
        oracle.violated("liveness", "publishes are refused although the disk has had room for long")
    }

    /// Everything is through: each producer publishes once more, in time.
    func probe() {
        note("probe", UInt64(operations))
        probedLife = host.life
        isFaultToCome = options.sweep.map { host.disk.operations < $0.operation } ?? false
        for client in clients { client.probe() }
    }
}
