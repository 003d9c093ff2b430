import ChaskiBroker
import ChaskiModel
import ChaskiStorage
import ChaskiStreams
import DequeModule
import Logging
import NIOCore
import NIOPosix

/// One namespace at work: the broker core joined with its journal.
///
/// Confined to its event loop. Requests arrive in runs (`take` ... `endTurn`); a run's effects are
/// carried out together, and while one group is on its way to the disk the next one gathers in
/// the core.
final class Shard {
    let namespace: String
    let loop: any EventLoop
    let journal: Journal
    let worker: JournalWorker
    let upkeep: UpkeepWorker
    let readers: Readers
    let fileSystem: any FileSystem
    let admission: DiskAdmission
    let flow: FlowLimits
    let journalConfiguration: JournalConfiguration
    let metrics: BrokerMetrics
    let logger: Logger
    let router: EventRouter

    let machine: NamespaceMachine
    let service: NamespaceService
    var clock: BrokerClock
    var effects: [Effect] = []
    /// The array that `effects` was swapped with, kept for its storage.
    var spareEffects: [Effect] = []
    var commit = CommitState()
    var reads = ReadQueue()
    var publishing = PublishingGate()
    var counters = ShardCounters()
    /// Subscriptions with messages that failed for good and cannot be dead letters yet.
    var deathsHeldBack: Set<SubscriptionID> = []
    var timer: (moment: Int64, task: Scheduled<Void>)?
    var isInTurn = false
    var drained: EventLoopPromise<Void>?

    init(_ parts: consuming ShardParts, loop: any EventLoop) {
        namespace = parts.namespace
        self.loop = loop
        journal = parts.journal
        worker = parts.worker
        upkeep = parts.upkeep
        readers = parts.readers
        fileSystem = parts.fileSystem
        admission = parts.admission
        flow = parts.flow
        journalConfiguration = parts.journalConfiguration
        metrics = parts.metrics
        logger = parts.logger
        machine = parts.machine
        clock = parts.clock
        router = EventRouter(loop: loop)
        service = NamespaceService(machine, sink: router)
        commit.bytesSinceCheckpoint = Int(clamping: parts.journal.recovery.replayedBytes)
        publishing.space = parts.journal.spaceState.refusal
    }

    /// The way to this shard; made once it stands on its loop.
    func open() -> ShardPort {
        scheduleMaintenance()
        endTurn()
        return ShardPort(namespace: namespace, loop: loop, shard: self)
    }

    /// Takes one request; `endTurn` follows the last of a run.
    func take(_ request: ShardRequest, from port: ConnectionPort) {
        switch request {
        case .attach:
            router.attach(port)
        case .detach:
            router.detach(port)
        case .command, .bind, .subscribe, .admin:
            let now = clock.now()
            guard let command = service.command(for: request, now: now) else { return }
            machine.handle(command, now: now, effects: &effects)
        }
    }

    /// The end of a run of requests: gives the disk work, carries effects out, sets the timer.
    func endTurn() {
        guard !isInTurn else { return }
        isInTurn = true
        updatePublishing()
        startCommit()
        let deadline = NIODeadline.now() + .nanoseconds(flow.turnNanos)
        repeat {
            repeat {
                carryOutEffects()
                startCommit()
            } while readNext(until: deadline) || !effects.isEmpty
            // What connections ask while they are flushed is part of this turn.
            router.flush()
        } while !effects.isEmpty
        startCommit()
        isInTurn = false
        armTimer()
        finishDrainIfIdle()
    }

    // MARK: Timer

    private func armTimer() {
        guard let moment = machine.nextTimerNanos else { return }
        if let timer {
            if timer.moment <= moment { return }
            timer.task.cancel()
        }
        let task = loop.assumeIsolatedUnsafeUnchecked().scheduleTask(
            in: .nanoseconds(clock.nanosUntil(moment))
        ) {
            self.timer = nil
            self.machine.timerFired(now: self.clock.now(), effects: &self.effects)
            self.endTurn()
        }
        timer = (moment, task)
    }
}

/// What a shard is made of; put together while the journal was opened, off the loop.
struct ShardParts: ~Copyable {
    var namespace: String
    var journal: Journal
    var worker: JournalWorker
    var upkeep: UpkeepWorker
    var readers: Readers
    var fileSystem: any FileSystem
    var admission: DiskAdmission
    var flow: FlowLimits
    var journalConfiguration: JournalConfiguration
    var metrics: BrokerMetrics
    var logger: Logger
    var machine: NamespaceMachine
    var clock: BrokerClock
}

/// What a shard has done since the process started.
struct ShardCounters: Sendable {
    var syncs: UInt64 = 0
    var bytesWritten: UInt64 = 0
    var messagesAppended: UInt64 = 0
}
