import ChaskiBroker
import ChaskiModel

/// Order by key: O2, O3, O5. One session at a time holds a key, as a run of consecutive messages;
/// what comes back takes the later ones of its key along.
extension Oracle {
    /// A message of an ordered subscription goes out to a consumer.
    func checkHandOutOrder(
        _ offset: Offset, _ consumer: Int, _ subscription: SubscriptionModel, now: Now
    ) {
        guard let policy = subscription.settings.order,
            let key = subscription.key(of: offset, publications)
        else { return }
        let session = consumers[consumer].session
        var out: UInt32 = 0
        for earlier in unsettled(before: offset, of: key, subscription) {
            let record = subscription.withRecord(earlier) { $0 }
            if record.mayBeSettled || subscription.mayPrecedeStart(earlier) { continue }
            // Where the key goes on after a death, a redriven one takes its place when it comes.
            if record.isRedriven, !subscription.holdsKeys { continue }
            let isHeld = isHeld(record, by: session)
            if !isHeld || now.clock >= leaseEnd(record) {
                // Clients do not see it when a message dies abandoned.
                learnDeaths()
                if subscription.isThrough(earlier) { continue }
                if mayBeFreed(earlier, subscription) { continue }
            }
            if isHeld {
                out += 1
                continue
            }
            violated(
                record.state == .leased ? "O3" : "O2",
                "\(subscription.name)@\(offset) was handed out before \(earlier) of its key, which is "
                    + "\(record.state)\(record.isSuperseded ? ", superseded" : ""); the broker says "
                    + (stateOf(subscription, earlier).map { "\($0)" } ?? "nothing"))
        }
        if out >= policy.runLength {
            violated("O2", "\(subscription.name)@\(offset) is one more than a run of its key")
        }
        if out > 0 { tookEffect(.ordered) }
    }

    /// Whether a dead message that holds its key may be on its way out.
    private func mayBeFreed(_ offset: Offset, _ subscription: SubscriptionModel) -> Bool {
        subscription.messages[Int(offset)].state == .dead
            && letters.kept[subscription.id]?.leaving.contains(offset) == true
    }

    /// A dead message is taken out: whether it held back something.
    func noteFreed(_ offset: Offset, _ subscription: SubscriptionModel) {
        guard subscription.holdsKeys, let key = subscription.key(of: offset, publications) else {
            return
        }
        let last = subscription.topic.offsets(of: key, publications).last ?? 0
        guard last > offset, !subscription.mayBeOver(last) else { return }
        tookEffect(.keyHold)
    }

    /// A redriven message goes out: it waits until nobody has a later one of its key.
    func checkKeyIsIdle(_ offset: Offset, _ subscription: SubscriptionModel, now: Now) {
        guard subscription.settings.order != nil,
            let key = subscription.key(of: offset, publications)
        else { return }
        for later in subscription.topic.offsets(of: key, publications) where later > offset {
            guard later < Offset(subscription.messages.count) else { return }
            let record = subscription.messages[Int(later)]
            guard record.state == .leased, !record.mayBeSettled, record.underWayCount == 0,
                now.clock < leaseEnd(record),
                orderExpectation(later, .extend, subscription, pastRedriven: true, now: now)
                    == .accept
            else { continue }
            violated(
                "O3",
                "\(subscription.name)@\(offset) was redriven, and handed out while consumer "
                    + "\(record.consumer) has \(later) of its key")
        }
    }

    private func isHeld(_ record: MessageRecord, by session: SessionID) -> Bool {
        record.state == .leased && !record.isSuperseded && record.consumer >= 0
            && consumers[Int(record.consumer)].session == session
    }

    /// What the order says to a verdict on a message whose lease holds.
    ///
    /// - Parameter pastRedriven: without a look at those that were redriven and wait for it.
    func orderExpectation(
        _ offset: Offset, _ verb: Verb, _ subscription: SubscriptionModel,
        pastRedriven: Bool = false, now: Now
    ) -> PendingSettle.Expectation {
        guard subscription.settings.order != nil,
            let key = subscription.key(of: offset, publications)
        else { return .accept }
        let isBehindUnanswered = subscription.unanswered.contains {
            $0 < offset && subscription.key(of: $0, publications) == key
        }
        if isBehindUnanswered { return .either }
        let holder = subscription.messages[Int(offset)].consumer
        var expectation = PendingSettle.Expectation.accept
        for earlier in unsettled(before: offset, of: key, subscription) {
            let record = subscription.withRecord(earlier) { $0 }
            if pastRedriven, record.isRedriven { continue }
            guard record.state == .leased, !record.mayBeSettled, record.underWayCount == 0,
                record.consumer == holder, now.clock < leaseEnd(record)
            else { return .either }
            if verb != .extend, verb != .release { expectation = .reject }
        }
        return expectation
    }

    /// A message came back, or died: the tokens of those behind it of its key are stale.
    func supersede(after offset: Offset, _ subscription: SubscriptionModel) {
        forEachLeased(after: offset, subscription) {
            $0.isSuperseded = true
            $0.leaseUntil = .min
            $0.extendedUntil = .min
        }
    }

    /// A message may have come back: those behind it of its key may be somebody else's.
    func maySupersede(after offset: Offset, _ subscription: SubscriptionModel) {
        forEachLeased(after: offset, subscription) { $0.leaseUntil = .min }
    }

    private func forEachLeased(
        after offset: Offset, _ subscription: SubscriptionModel,
        _ body: (inout MessageRecord) -> Void
    ) {
        guard subscription.settings.order != nil,
            let key = subscription.key(of: offset, publications)
        else { return }
        let offsets = subscription.topic.offsets(of: key, publications)
        for later in offsets[subscription.keyFloor(key, offsets)...] where later > offset {
            guard later < Offset(subscription.messages.count) else { return }
            subscription.withRecord(later) { if $0.state == .leased { body(&$0) } }
        }
    }

    /// The messages of a key before `offset` that are not through, as far as clients can know.
    func unsettled(
        before offset: Offset, of key: [UInt8], _ subscription: SubscriptionModel
    ) -> [Offset] {
        let offsets = subscription.topic.offsets(of: key, publications)
        return offsets[subscription.keyFloor(key, offsets)...].prefix { $0 < offset }
            .filter { !subscription.isThrough($0) }
    }
}

extension SubscriptionModel {
    /// What orders a message; nil without a key.
    func key(of offset: Offset, _ publications: [Publication]) -> [UInt8]? {
        topic.key(of: offset, publications)
    }

    /// How many messages of a key, the first ones, are through.
    fileprivate func keyFloor(_ key: [UInt8], _ offsets: [Offset]) -> Int {
        var place = keyFloors[key] ?? 0
        while place < offsets.count, isThrough(offsets[place]) { place += 1 }
        keyFloors[key] = place
        return place
    }

    /// Whether the dead hold their keys.
    var holdsKeys: Bool { settings.order?.afterDeath == .hold }

    /// Whether a message is settled and holds back nothing, or before the start for certain.
    fileprivate func isThrough(_ offset: Offset) -> Bool {
        if offset < startLow { return true }
        guard offset < Offset(messages.count) else { return false }
        let record = messages[Int(offset)]
        return record.isSettled && !(record.state == .dead && holdsKeys)
    }

    /// Whether a message was never handed out, and perhaps never will be.
    fileprivate func mayPrecedeStart(_ offset: Offset) -> Bool {
        guard offset < startHigh else { return false }
        return offset >= Offset(messages.count) || messages[Int(offset)].handout == 0
    }
}
