import ChaskiModel
import ChaskiRecords
import DequeModule

// Messages that are to die wait, settled for nobody, until one group holds their death and, where
// they are forwarded, their copies.
extension NamespaceMachine {
    /// Messages that die with one entry, at most, and the bytes of their copies, about.
    private static var maximumDeaths: Int { 1_000 }
    private static var maximumCopyBytes: Int { 256 * 1024 }
    /// After how long it is tried again, nanoseconds.
    private static var deathRetryNanos: Int64 { 1_000_000_000 }

    /// To be called when messages of a subscription may be able to die.
    func markDying(_ subscription: SubscriptionState) {
        guard !subscription.deaths.isListed else { return }
        subscription.deaths.isListed = true
        work.dying.append(subscription)
    }

    func serveDeaths(_ now: Now, _ effects: inout [Effect]) {
        guard !work.dying.isEmpty else { return }
        let dying = work.dying
        work.dying.removeAll(keepingCapacity: true)
        for subscription in dying {
            subscription.deaths.isListed = false
            guard isRunning, directory.subscriptions[subscription.id] === subscription,
                !subscription.activity.isDeleting
            else { continue }
            serveDeaths(of: subscription, now, &effects)
            tellHeld(subscription, now, &effects)
        }
    }

    /// Tells once why messages that should be dead are not, and once that none are held back.
    private func tellHeld(
        _ subscription: SubscriptionState, _ now: Now, _ effects: inout [Effect]
    ) {
        var held = subscription.deaths.block?.failure
        if subscription.deaths.hasParked {
            do throws(Failure) {
                _ = try roomForDeaths(subscription)
                subscription.deaths.hasParked = false
            } catch {
                held = held ?? error
            }
        }
        if held != nil {
            // Room may come from anywhere.
            setDeathTimer(subscription, at: now.clock.addingSaturating(Self.deathRetryNanos))
        }
        guard held?.reason != subscription.deaths.told else { return }
        subscription.deaths.told = held?.reason
        effects.append(.deathsHeld(subscription.id, held))
    }

    /// What should have died waits for the dead store to have room.
    func parked(_ subscription: SubscriptionState) {
        guard isRunning else { return }
        subscription.deaths.hasParked = true
        markDying(subscription)
    }

    /// Takes the next step towards the death of some.
    private func serveDeaths(
        of subscription: SubscriptionState, _ now: Now, _ effects: inout [Effect]
    ) {
        guard case .idle = subscription.deaths.step else { return }
        guard let next = subscription.deaths.next else {
            subscription.deaths.block = nil
            return
        }
        if let block = subscription.deaths.block, now.clock < block.retryAt {
            setDeathTimer(subscription, at: block.retryAt)
            return
        }
        do throws(Failure) {
            let room = try roomForDeaths(subscription)
            guard let target = try forwardTarget(of: subscription) else {
                let dying = subscription.deaths.list(
                    from: next.offset, to: .max, limit: min(room, Self.maximumDeaths))
                propose(LetterWork(subscription.id, .deaths(dying), nil), subscription)
                return
            }
            if let failure = doorFailure(target, 0) { throw failure }
        } catch {
            block(deathsOf: subscription, error, now)
            return
        }
        let id = ReadID(rawValue: reads.next)
        reads.next += 1
        reads.deaths[id.rawValue] = subscription.id
        subscription.deaths.step = .reading(next.offset)
        effects.append(
            .read(
                ReadRequest(
                    id: id, topic: subscription.topic.id, from: next.offset, maximumBytes: 1)))
    }

    /// The topic that gets the copies; nil where none does.
    private func forwardTarget(
        of subscription: SubscriptionState
    ) throws(Failure) -> TopicState? {
        guard let name = subscription.settings.deadLetters.forwardTo else { return nil }
        guard let topic = directory.topic(named: name), !topic.isDeleting else {
            throw .unknownTopic(name)
        }
        return topic
    }

    /// How many more the dead stores take.
    private func roomForDeaths(_ subscription: SubscriptionState) throws(Failure) -> Int {
        let own = Int(subscription.settings.deadLetters.maximum)
        let all = configuration.maximumDeadLetters
        let room = min(own - subscription.dead.count, all - directory.deadLetters)
        if room > 0 { return room }
        let isOwn = subscription.dead.count >= own
        throw .deadStoreFull(
            isOwn ? subscription.dead.count : directory.deadLetters, isOwn ? own : all)
    }

    /// The host has read the batch of a message that is to be forwarded.
    func deathLoaded(
        _ owner: SubscriptionID, _ result: Result<[StoredBatch], Failure>, _ now: Now
    ) {
        guard let subscription = directory.subscriptions[owner],
            case .reading(let offset) = subscription.deaths.step
        else { return }
        subscription.deaths.step = .idle
        markDying(subscription)
        guard !subscription.activity.isDeleting else { return }
        do throws(Failure) {
            guard let target = try forwardTarget(of: subscription) else { return }
            let room = try roomForDeaths(subscription)
            guard let batch = try result.get().first(where: { $0.contains(offset) }) else {
                throw .missing(offset)
            }
            let dying = subscription.deaths.list(
                from: offset, to: batch.baseOffset + Offset(batch.count),
                limit: min(room, Self.maximumDeaths))
            let copies = try copies(of: dying, in: batch, subscription)
            if let failure = doorFailure(target, copies.batch.count) { throw failure }
            subscription.deaths.goOn(after: dying[copies.count - 1].offset)
            let work = LetterWork(
                subscription.id, .deaths(Array(dying.prefix(copies.count))),
                (target.id, copies.batch, UInt32(copies.count)))
            propose(work, subscription)
        } catch {
            // Others may be readable, and smaller.
            subscription.deaths.goOn(after: offset)
            block(deathsOf: subscription, error, now)
        }
    }

    /// Copies of the first messages of a list, at least one, as a batch.
    private func copies(
        of dying: [DyingMessage], in batch: StoredBatch, _ subscription: SubscriptionState
    ) throws(Failure) -> (batch: Bytes, count: Int) {
        let view = try RecordBatchView(trusted: batch.bytes)
        var payloads = view.payloads()
        var builder = RecordBatchBuilder(limits: .maximum)
        for message in dying {
            if !builder.isEmpty, builder.byteCount > Self.maximumCopyBytes { break }
            do throws(Failure) {
                let record = try view.record(of: message.offset, payloads: &payloads)
                let copy = record.message.deadLetterCopy(
                    subscription.marks(of: message, in: view.baseOffset))
                try builder.append(message: copy)
            } catch {
                // Those before it can go.
                if builder.isEmpty { throw error }
                break
            }
        }
        let count = builder.count
        guard count > 0 else { throw .missing(dying.first?.offset ?? 0) }
        return (builder.finish()[...], count)
    }

    private func propose(_ work: LetterWork, _ subscription: SubscriptionState) {
        subscription.deaths.step = .proposed
        enqueue(TailItem(.letters(work), .done, []), work)
    }

    // MARK: Outcome

    /// Some of the messages died, or could not.
    func deathsEnded(_ dying: [DyingMessage], of work: LetterWork, _ failure: Failure?) {
        guard let subscription = directory.subscriptions[work.subscription] else { return }
        subscription.deaths.step = .idle
        subscription.deaths.block = nil
        if let failure {
            if let first = dying.first { subscription.deaths.goBack(to: first.offset) }
            block(deathsOf: subscription, failure, lastDurable)
        }
        markDying(subscription)
    }

    private func block(deathsOf subscription: SubscriptionState, _ failure: Failure, _ now: Now) {
        let at = now.clock.addingSaturating(Self.deathRetryNanos)
        subscription.deaths.block = Deaths.Block(failure: failure, retryAt: at)
        setDeathTimer(subscription, at: at)
    }

    func setDeathTimer(_ subscription: SubscriptionState, at: Int64) {
        if let set = subscription.deaths.timer, set <= at { return }
        subscription.deaths.timer = at
        timers.heap.push(Timer(at: at, kind: .deaths, subscription: subscription.id.rawValue))
    }

    func deathTimerFired(_ subscription: SubscriptionState, _ at: Int64) {
        guard subscription.deaths.timer == at else { return }
        subscription.deaths.timer = nil
        markDying(subscription)
    }

    /// In the live path and in replay alike: those that wait for it are dead. What a checkpoint does
    /// not say yet to be dying, a later section of it brings as dead.
    func apply(_ died: Died, _ time: Now) {
        if let forwarded = died.forwarded { note(appended: forwarded) }
        guard let subscription = directory.subscriptions[died.subscription] else { return }
        if died.forwarded != nil { subscription.totals.forwarded &+= died.ranges.offsetTotal }
        for range in died.ranges {
            for offset in range {
                guard let cause = subscription.deaths.cause(of: offset),
                    let slot = subscription.window.slot(offset)
                else { continue }
                die(offset, cause, failed: slot.pointee.failed, subscription, time)
            }
        }
        subscription.window.advance()
        work.touched.append(subscription)
        if isRunning { markDirty(subscription) }
    }
}

extension RecordBatchView {
    /// The record of an offset. Throws `damaged` where there is none.
    fileprivate func record(
        of offset: Offset, payloads: inout PayloadReader
    ) throws(Failure) -> Record {
        let place = place(ofIndex: UInt32(truncatingIfNeeded: offset &- baseOffset))
        guard place < count else { throw .missing(offset) }
        let record = try record(at: place, payloads: &payloads)
        guard record.offset == offset else { throw .missing(offset) }
        return record
    }
}

extension Failure {
    static func deadStoreFull(_ count: Int, _ limit: Int) -> Failure {
        Failure(
            .resourceExhausted, .deadStoreFull,
            "\(count) dead letters are kept, of \(limit) at most: redrive or purge some, or raise "
                + "the limit")
    }
}
