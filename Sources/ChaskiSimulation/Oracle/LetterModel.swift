import ChaskiBroker
import ChaskiMessages
import ChaskiModel

/// What the model knows of dead letters beyond their state: what happened to each, which requests
/// are taking some out, and what lists are expected to say.
struct LetterModel {
    /// One entry of a message's past.
    struct Past {
        var end: AttemptEnd
        /// It may have been a breaker's probe, which is listed as that.
        var mayBeProbe = false
        var epoch: UInt32 = 0
        var handout: UInt32
        var session: SessionID
        var reason: String
        /// False while nobody knows whether it took effect.
        var isCertain: Bool
    }

    enum Way { case redrive(note: String), purge }

    /// A request that takes dead letters out.
    struct Taking {
        var subscription: SubscriptionID
        var way: Way
        var offsets: [Offset]
    }

    /// What is kept of one subscription's messages.
    struct Kept {
        var pasts: [Offset: [Past]] = [:]
        /// No earlier than this each died, broker clock.
        var diedFrom: [Offset: Int64] = [:]
        /// Those that a request is taking out, or may have taken out when the broker died.
        var leaving: Set<Offset> = []
        /// Dead letters whose past was compared.
        var compared: Set<Offset> = []
        /// Those whose edited messages are stored.
        var replaced: Set<Offset> = []
        /// Failed for good, and not dead yet: their copies wait for the target.
        var dying: Set<Offset> = []
        /// Those with a copy in the target, in their present life.
        var copied: [Offset: ForwardedCopy] = [:]
        var forwarded: UInt64 = 0
        var redriven: UInt64 = 0
        /// Purged, or removed by age.
        var gone: UInt64 = 0
    }

    var kept: [SubscriptionID: Kept] = [:]
    /// What groups on disk remove by age, and the core has not told yet.
    var agedOut: [(id: SubscriptionID, ranges: [Range<Offset>], time: Now)] = []
    /// Requests that were under way when the broker died.
    var inDoubt: [Taking] = []
    var questions: [RequestID: LetterQuestion] = [:]
    /// Edited messages by their payloads, and those under way when the broker died.
    var editions: [[UInt8]: Edition] = [:]
    var editsInDoubt: [[UInt8]] = []

    /// Items that the broker lists of one past, at most.
    static let listedAttempts = 32
}

/// Where a message stands that may have left the dead letters.
enum LetterStanding { case dead, dying, open, gone }

extension Oracle {
    // MARK: - What happened to a message

    /// A failure took effect, or may have.
    func noteFailure(
        _ settle: SettleCommand, _ offset: Offset, _ record: MessageRecord,
        _ subscription: SubscriptionModel, isCertain: Bool
    ) {
        guard settle.verb == .retry || settle.verb == .fail else { return }
        let isRetry = settle.verb == .retry
        let past = LetterModel.Past(
            end: settle.verb == .fail ? .fail : isRetry && record.probe == .yes ? .probe : .retry,
            mayBeProbe: isRetry && record.probe == .perhaps, epoch: record.epoch,
            handout: record.handout, session: consumers[number(of: settle.consumer)].session,
            reason: settle.reason, isCertain: isCertain)
        letters.kept[subscription.id, default: .init()].note(past, offset)
    }

    /// A message may be dead from now on.
    func noteDeath(_ offset: Offset, _ subscription: SubscriptionModel, from clock: Int64) {
        letters.kept[subscription.id, default: .init()].diedFrom[offset] = clock
    }

    /// Whether a message is open because it was redriven.
    func wasRedriven(_ offset: Offset, _ subscription: SubscriptionModel) -> Bool {
        letters.kept[subscription.id]?.pasts[offset]?.contains { $0.end == .redriven } == true
    }

    // MARK: - Requests

    /// The dead letters that a request must take: those in its ranges that none else is taking.
    func beginTaking(
        _ id: RequestID, _ name: String, _ ranges: [Range<Offset>], _ way: LetterModel.Way
    ) {
        guard case .present(let known)? = subscriptionNames[name],
            let subscription = subscriptions[known]
        else { return begin(id, .letters(nil)) }
        let leaving = letters.kept[known].map { $0.leaving.union($0.dying) } ?? []
        var offsets: [Offset] = []
        for range in ranges {
            let end = min(range.upperBound, Offset(subscription.messages.count))
            guard range.lowerBound < end else { continue }
            offsets += (range.lowerBound..<end).filter {
                subscription.messages[Int($0)].state == .dead && !leaving.contains($0)
            }
        }
        letters.kept[known, default: .init()].leaving.formUnion(offsets)
        begin(
            id,
            .letters(LetterModel.Taking(subscription: known, way: way, offsets: offsets)))
    }

    func takingReplied(_ taking: LetterModel.Taking?, _ result: Result<Reply, Failure>, now: Now) {
        guard let taking, let subscription = subscriptions[taking.subscription] else { return }
        switch result {
        case .failure(let failure) where failure.isIndeterminate: letters.inDoubt.append(taking)
        case .failure:
            letters.kept[subscription.id]?.leaving.subtract(taking.offsets)
        case .success(.lettersTaken(let count, _)):
            letters.kept[subscription.id]?.leaving.subtract(taking.offsets)
            // Those that are old enough may be on their way out by age.
            let old = taking.offsets.filter { mayBeExpired($0, subscription, now: now) }
            if count > UInt64(taking.offsets.count)
                || count < UInt64(taking.offsets.count - old.count)
            {
                violated(
                    "Q5",
                    "\(count) dead letters of \(subscription.name) were taken out; there were "
                        + "\(taking.offsets.count), and \(old.count) of them old")
            }
            let isWhole = count == UInt64(taking.offsets.count)
            for offset in taking.offsets {
                if isWhole || !old.contains(offset) {
                    takenOut(offset, taking.way, subscription)
                } else {
                    settleDoubt(offset, taking.way, subscription)
                }
            }
        case .success(let other):
            violated("one reply", "a request about dead letters was answered with \(other)")
        }
    }

    private func takenOut(
        _ offset: Offset, _ way: LetterModel.Way, _ subscription: SubscriptionModel
    ) {
        noteFreed(offset, subscription)
        switch way {
        case .purge: gone(offset, subscription)
        case .redrive(let note):
            letters.kept[subscription.id, default: .init()].redriven(offset, note)
            subscription.reopen(offset)
        }
    }

    func gone(_ offset: Offset, _ subscription: SubscriptionModel) {
        letters.kept[subscription.id, default: .init()].gone += 1
        letters.kept[subscription.id]?.compared.remove(offset)
        subscription.withRecord(offset) { $0.state = .purged }
    }

    /// Whether age may have removed a dead letter.
    func mayBeExpired(_ offset: Offset, _ subscription: SubscriptionModel, now: Now) -> Bool {
        guard let died = letters.kept[subscription.id]?.diedFrom[offset] else { return false }
        let kept = subscription.settings.deadLetters.retentionNanos
        return now.clock >= died.addingReportingOverflow(kept).partialValue
    }

    // MARK: - Doubt

    /// After a restart: what was under way took effect or not, and from now on that holds.
    func resolveTakings() {
        resolveEdits()
        let doubts = letters.inDoubt
        letters.inDoubt = []
        for taking in doubts {
            guard let subscription = subscriptions[taking.subscription], !subscription.removed
            else {
                continue
            }
            letters.kept[subscription.id]?.leaving.subtract(taking.offsets)
            for offset in taking.offsets {
                settleDoubt(offset, taking.way, subscription)
            }
        }
    }

    private func settleDoubt(
        _ offset: Offset, _ way: LetterModel.Way, _ subscription: SubscriptionModel
    ) {
        switch letterStanding(subscription.name, offset) {
        case .dead: break
        case .dying: violated("Q5", "\(subscription.name)@\(offset) was dead, and is to die")
        case .gone where subscription.messages[Int(offset)].state == .purged: break
        case .gone:
            if case .redrive = way {
                violated("Q5", "\(subscription.name)@\(offset) was redriven, and is gone")
            }
            gone(offset, subscription)
        case .open:
            if case .purge = way {
                violated("Q5", "\(subscription.name)@\(offset) was purged, and is open")
            }
            takenOut(offset, way, subscription)
        }
    }

    // MARK: - Age

    /// Q1, Q4: what groups on disk remove by age, once the core has it: messages that died, as far as
    /// anybody can know, and were kept for long enough.
    func learnAgedOut() {
        let removals = letters.agedOut
        letters.agedOut = []
        for removal in removals {
            guard let subscription = subscriptions[removal.id], !subscription.removed else {
                continue
            }
            for offset in removal.ranges.joined() {
                agedOut(offset, subscription, at: removal.time)
            }
        }
    }

    private func agedOut(_ offset: Offset, _ subscription: SubscriptionModel, at time: Now) {
        let record = subscription.withRecord(offset) { $0 }
        let name = "\(subscription.name)@\(offset)"
        if record.state != .dead, record.isSettled || !record.mayBeSettled {
            violated("Q1", "\(name) was removed by age when it was \(record.state)")
        } else if record.state == .dead, !mayBeExpired(offset, subscription, now: time) {
            violated("Q4", "\(name) was removed by age before its time")
        }
        gone(offset, subscription)
        tookEffect(.purge)
    }

    /// A group is on disk: what it removes by age is learned when the core has it.
    func noteAgedOut(_ group: JournalGroup) {
        for entry in group.entries {
            guard let (id, ranges) = entry.agedOut else { continue }
            letters.agedOut.append((id, ranges, group.time))
        }
    }

    // MARK: - Comparing

    /// Q1 to Q3, Q5: what the broker has as dead is what the model has, with all that happened to
    /// each; what nobody could see, as a death by abandonment or by age, is learned.
    func compareLetters(
        _ subscription: SubscriptionModel, _ listed: [DeadLetter], past: (Offset) -> MessagePast?
    ) {
        let dying = learnDying(subscription, Set(listed.map(\.offset)))
        checkDead(subscription, listed.map { ($0.offset, $0.failed, $0.cause) }, dying: dying)
        for letter in listed {
            let kept = letters.kept[subscription.id]
            if kept?.diedFrom[letter.offset] == nil {
                noteDeath(letter.offset, subscription, from: letter.clockNanos)
            }
            guard kept?.compared.contains(letter.offset) != true else { continue }
            letters.kept[subscription.id, default: .init()].compared.insert(letter.offset)
            checkCopy(of: letter, subscription)
            compare(letter, past(letter.offset), subscription)
        }
    }

    /// Those that are dead for their consumers, and wait for their copies.
    private func learnDying(
        _ subscription: SubscriptionModel, _ listed: Set<Offset>
    ) -> Set<Offset> {
        guard subscription.settings.deadLetters.forwardTo != nil else { return [] }
        var dying: Set<Offset> = []
        for index in subscription.messages.indices
        where subscription.messages[index].state == .dead && !listed.contains(Offset(index))
            && letterStanding(subscription.name, Offset(index)) == .dying
        {
            dying.insert(Offset(index))
        }
        letters.kept[subscription.id, default: .init()].dying = dying
        return dying
    }

    private func compare(
        _ letter: DeadLetter, _ past: MessagePast?, _ subscription: SubscriptionModel
    ) {
        let name = "\(subscription.name)@\(letter.offset)"
        guard let past else { return violated("Q2", "\(name) is dead and has no past") }
        let known = letters.kept[subscription.id]?.pasts[letter.offset] ?? []
        let redriven = known.count { $0.end == .redriven }
        if letter.redriven != past.redriven || Int(past.redriven) != redriven {
            violated("Q5", "\(name) was redriven \(redriven) times; \(past.redriven) are recorded")
        }
        guard past.listed.count < LetterModel.listedAttempts else { return }
        // Clients do not see whoever vanished.
        let listed = past.listed.filter { $0.end != .abandoned }
        if !LetterModel.isPast(listed[...], known[...]) {
            violated(
                "Q2",
                "\(name) has another past than it had: "
                    + listed.map { "\($0.end)#\($0.handout) \($0.reason)" }.joined(separator: ", ")
                    + "; known: "
                    + known.map {
                        "\($0.end)#\($0.handout) \($0.reason)\($0.isCertain ? "" : "?")"
                    }.joined(separator: ", "))
        }
    }
}

extension LetterModel {
    /// Whether the list has all that is certain, in order, and nothing that is not known.
    static func isPast(_ listed: ArraySlice<Attempt>, _ known: ArraySlice<Past>) -> Bool {
        guard let next = known.first else { return listed.isEmpty }
        if let item = listed.first, next.matches(item),
            isPast(listed.dropFirst(), known.dropFirst())
        {
            return true
        }
        return !next.isCertain && isPast(listed, known.dropFirst())
    }
}

extension LetterModel.Past {
    fileprivate func matches(_ item: Attempt) -> Bool {
        let isEnd = item.end == end || (mayBeProbe && item.end == .probe)
        if end == .redriven { return isEnd && item.reason == reason }
        return isEnd && item.handout == handout && item.session == session && item.reason == reason
    }
}

extension LetterModel.Kept {
    fileprivate mutating func note(_ past: LetterModel.Past, _ offset: Offset) {
        // The same verdict once more: what was in doubt is known, or is in doubt still.
        if let last = pasts[offset]?.last, !last.isCertain, last.epoch == past.epoch,
            last.handout == past.handout, last.end == past.end, last.reason == past.reason
        {
            pasts[offset]?.removeLast()
        }
        pasts[offset, default: []].append(past)
    }

    /// An edited message has taken its place.
    mutating func replace(_ offset: Offset) {
        redriven += 1
        leaving.remove(offset)
        compared.remove(offset)
        diedFrom[offset] = nil
    }

    fileprivate mutating func redriven(_ offset: Offset, _ note: String) {
        redriven += 1
        compared.remove(offset)
        copied[offset] = nil
        diedFrom[offset] = nil
        pasts[offset, default: []].append(
            LetterModel.Past(
                end: .redriven, handout: 0, session: SessionID(rawValue: 0), reason: note,
                isCertain: true))
    }
}
