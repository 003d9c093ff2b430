import ChaskiModel
import DequeModule

/// How lanes follow what happens to their messages.
extension NamespaceMachine {
    /// A message of a lane changed its state: whether its lane can go on.
    func laneChanged(_ offset: Offset, _ order: KeyOrder, _ subscription: SubscriptionState) {
        guard isRunning, let lane = order.laneOf[offset] else { return }
        let window = subscription.window
        if lane.isOnly(offset), window.isSettled(offset) {
            // Most messages are the only ones of their keys at the time.
            order.forget(offset)
            lane.clear()
            return order.remove(lane)
        }
        lane.front.removeAll { gone in
            guard window.isSettled(gone) else { return false }
            order.forget(gone)
            return true
        }
        if !lane.outOfTurn.isEmpty, window.slot(offset)?.pointee.staysWithHolder != true {
            lane.outOfTurn.remove(offset)
        }
        lane.out = 0
        for offset in lane.front {
            guard window.slot(offset)?.pointee.staysWithHolder == true,
                !lane.outOfTurn.contains(offset)
            else { break }
            lane.out += 1
        }
        lane.holder = -1
        if lane.front.isEmpty { dropSettled(of: lane, order, window) }
        if lane.out > 0, let first = lane.front.first, let slot = window.slot(first) {
            lane.holder = subscription.leases.groups[Int(slot.pointee.a)].holder
        }
        if lane.isEmpty {
            order.remove(lane)
        } else {
            sortWaiting(lane, subscription)
            wantNext(of: lane, order, subscription)
        }
    }

    /// A redriven message waited behind those that were out; what came back goes behind it. A verdict
    /// of an atomic request may yet be refused, and leaves what it names where it is.
    private func sortWaiting(_ lane: Lane, _ subscription: SubscriptionState) {
        let waiting = lane.front[lane.out...]
        guard !zip(waiting, waiting.dropFirst()).allSatisfy({ $0 < $1 }),
            !isLeasedBehindRun(lane, subscription)
        else { return }
        lane.front[lane.out...].sort()
    }

    /// Whether a message of a lane is leased that is not of its run: its verdict, or its return, is
    /// on its way, or it was claimed out of turn.
    private func isLeasedBehindRun(_ lane: Lane, _ subscription: SubscriptionState) -> Bool {
        !lane.outOfTurn.isEmpty
            || lane.front[lane.out...].contains {
                subscription.window.slot($0)?.pointee.state == .leased
            }
    }

    /// The lane's next message joins what is to be handed out, where it may be.
    func wantNext(of lane: Lane, _ order: KeyOrder, _ subscription: SubscriptionState) {
        guard lane.out < subscription.runLength, !subscription.holdsKey(lane.key),
            let offset = nextUp(of: lane, order, subscription.window),
            let slot = subscription.window.slot(offset),
            !mustWait(offset, lane, subscription)
        else { return }
        switch slot.pointee.state {
        case .returned where slot.pointee.suspicion > 0:
            if lane.out == 0 { subscription.suspects.push(offset) }
        case .returned, .passed: subscription.wanted.push(offset)
        case .unseen, .leased, .waiting, .unresolved, .acked, .dead, .dying: break
        }
    }

    /// Those at the head of a backlog that died where they waited: a session had claimed them out of
    /// turn.
    private func dropSettled(of lane: Lane, _ order: KeyOrder, _ window: Window) {
        while let first = lane.backlog.first, window.isSettled(first) {
            _ = lane.backlog.popFirst()
            order.forget(first)
        }
    }

    /// The first message that nobody has.
    private func nextUp(of lane: Lane, _ order: KeyOrder, _ window: Window) -> Offset? {
        if lane.front.count == lane.out {
            dropSettled(of: lane, order, window)
            if let offset = lane.backlog.popFirst() {
                lane.front.append(offset)
                order.note(offset, in: lane)
            }
        }
        return lane.out < lane.front.count ? lane.front[lane.out] : nil
    }

    /// Whether the next of a lane waits for later ones of its key: any message for those that were
    /// claimed out of turn; one that was redriven also for those that are just coming back and,
    /// after a restart, for those whose session may yet come back.
    private func mustWait(
        _ offset: Offset, _ lane: Lane, _ subscription: SubscriptionState
    ) -> Bool {
        if !lane.outOfTurn.isEmpty { return true }
        return subscription.window.isRevived(offset)
            && (lane.unresolved > 0 || isLeasedBehindRun(lane, subscription))
    }

    /// Whether a message may be handed out now, and to the holder of its run only, if there is one.
    /// What no lane knows yet (its key was not known) joins its lane first.
    func turn(
        of offset: Offset, _ key: @autoclosure () -> UInt64?, _ order: KeyOrder,
        _ subscription: SubscriptionState
    ) -> Turn {
        if order.laneOf[offset] == nil {
            guard let key = key() else { return .anybody }
            order.enter(offset, key) { subscription.window.slot($0)?.pointee.state == .leased }
        }
        guard let lane = order.laneOf[offset], lane.out < lane.front.count,
            lane.front[lane.out] == offset, !subscription.holdsKey(lane.key),
            !mustWait(offset, lane, subscription)
        else { return .later }
        guard lane.out > 0 else { return .anybody }
        // One that was redriven waits until nobody has a later one: its key is idle then.
        guard lane.out < subscription.runLength, lane.front[lane.out - 1] < offset else {
            return .later
        }
        return .only(lane.holder)
    }

    /// Whether a message that a session claims after a restart follows those of its key that the
    /// session has. What was not looked at yet is looked at later, with the claim.
    func isTurn(
        of offset: Offset, _ holder: Holder, _ order: KeyOrder, _ subscription: SubscriptionState
    ) -> Bool {
        guard let lane = order.laneOf[offset] else { return true }
        guard lane.out == 0 || lane.holder == holder.index, lane.outOfTurn.isEmpty else {
            return false
        }
        guard nextUp(of: lane, order, subscription.window) != offset else { return true }
        guard let place = placeBehindRedriven(offset, lane, subscription) else { return false }
        // Those that were redriven wait until the key is idle.
        if place < lane.front.count {
            lane.front.remove(at: place)
        } else {
            _ = lane.backlog.popFirst()
        }
        lane.front.insert(offset, at: lane.out)
        return true
    }

    /// The place of a message of a lane in `front`, or behind it, where only messages that were
    /// redriven come before it, which nobody has; nil where others do.
    private func placeBehindRedriven(
        _ offset: Offset, _ lane: Lane, _ subscription: SubscriptionState
    ) -> Int? {
        for place in lane.out..<lane.front.count {
            if lane.front[place] == offset { return place }
            guard subscription.window.isRevived(lane.front[place]) else { return nil }
        }
        return lane.backlog.first == offset ? lane.front.count : nil
    }

    enum Turn {
        case anybody
        case only(Int32)
        /// Its lane says when.
        case later
    }

    /// The message at the lane's turn was handed out, or a claim of it holds after a restart.
    func laneHandedOut(
        _ offset: Offset, _ holder: Holder, _ lane: Lane, _ subscription: SubscriptionState,
        isClaim: Bool = false
    ) {
        precondition(
            lane.out == 0 || lane.holder == holder.index, "a key is with one holder at a time")
        precondition(lane.front[lane.out] == offset, "a key's messages are handed out in order")
        lane.out += 1
        lane.outLimit = isClaim ? max(lane.out, subscription.runLength) : subscription.runLength
        lane.holder = holder.index
    }

    /// What its predecessor of the same key says to a verdict on a message: nil for nothing.
    ///
    /// - Parameter named: what the same verdict names before it.
    func orderRejection(
        _ offset: Offset, _ verb: Verb, _ lane: Lane, _ subscription: SubscriptionState,
        named: [EntryRange]
    ) -> FailureReason? {
        guard let place = lane.front.firstIndex(of: offset), place > 0,
            let before = subscription.window.slot(lane.front[place - 1])
        else { return nil }
        if before.pointee.isSettled || before.pointee.has(Slot.ackInFlight) { return nil }
        // Named by the same failure as its predecessor, which supersedes it. A predecessor whose ack
        // is part of an atomic request may yet be refused with it.
        let first = lane.front[place - 1]
        let isSuperseded =
            verb != .ack && before.pointee.has(Slot.inFlight)
            && named.last { $0.first <= first }.map { first < $0.end } ?? false
        return isSuperseded ? .stale : .outOfOrder
    }

    /// Messages that come back take the later ones of their keys along: their tokens are stale from
    /// now on, and they return with nothing spent.
    func supersede(after ranges: [EntryRange], _ holder: Holder) {
        let subscription = holder.subscription
        guard let order = subscription.order else { return }
        var superseded: [EntryRange] = []
        for range in ranges {
            for offset in range.first..<range.end {
                guard let lane = order.laneOf[offset],
                    let place = lane.front.firstIndex(of: offset)
                else { continue }
                for later in lane.front[place...].dropFirst() {
                    guard let slot = subscription.window.slot(later),
                        slot.pointee.state == .leased, !slot.pointee.has(Slot.returning)
                    else { continue }
                    if slot.pointee.has(Slot.inFlight) {
                        slot.pointee.flags |= Slot.overtaken
                        continue
                    }
                    slot.pointee.flags |= Slot.inFlight | Slot.returning
                    superseded.append(offset: later, handout: slot.pointee.handout)
                }
                laneChanged(offset, order, subscription)
            }
        }
        proposeReturn(superseded, subscription.id, holder.session.id, .superseded)
    }
}

// What is on disk.
extension NamespaceMachine {
    /// Verdicts are on disk: what comes back by them takes the later ones of its keys along. An
    /// atomic request that is refused must not; other verdicts did so when they were given, save
    /// for messages whose keys were not read again since the restart.
    func supersede(behind item: TailItem) {
        for case .settled(let settled) in item.entries
        where settled.verb != .ack && settled.verb != .extend {
            let holders = sessions.byID[settled.session]?.holders
            if let holder = holders?[settled.subscription] {
                supersede(after: settled.ranges, holder)
            }
        }
    }
}

// What dead messages hold.
extension NamespaceMachine {
    /// The keys of the messages that an entry may kill, where they are to be held.
    func namedKeys(for entry: StateEntry) -> StateEntry? {
        guard let mortal = entry.mortal,
            let subscription = directory.subscriptions[mortal.subscription],
            let order = subscription.order, subscription.settings.order?.afterDeath == .hold
        else { return nil }
        var keys: [NamedKey] = []
        for range in mortal.ranges {
            for offset in range.first..<range.end {
                guard let lane = order.laneOf[offset] else { continue }
                keys.append(NamedKey(offset: offset, key: lane.key))
            }
        }
        return keys.isEmpty ? nil : .keysNamed(subscription.id, keys)
    }

    /// Those that died, or wait for it, hold their keys.
    func applyNamedKeys(_ id: SubscriptionID, _ keys: [NamedKey]) {
        guard let subscription = directory.subscriptions[id] else { return }
        for key in keys where subscription.isDeadOrDying(key.offset) {
            subscription.heldKeys.insert(key.offset, key.key)
        }
    }

    /// Dead messages hold no keys any more, by the settings.
    func freeKeys(_ subscription: SubscriptionState) {
        guard let order = subscription.order else { return }
        for key in Set(subscription.heldKeys.byOffset.values).sorted() {
            if let lane = order.lanes[key] { wantNext(of: lane, order, subscription) }
        }
    }

    /// A message is not dead any more, or is gone: its key goes on.
    func freeKey(_ offset: Offset, _ subscription: SubscriptionState) {
        guard let key = subscription.heldKeys.remove(offset), isRunning,
            let order = subscription.order
        else { return }
        if let lane = order.lanes[key] { wantNext(of: lane, order, subscription) }
        markDirty(subscription)
    }
}

extension Slot {
    /// Whether it is out, and nothing but an ack of it on its way.
    var staysWithHolder: Bool {
        state == .leased && (!has(Slot.inFlight) || has(Slot.ackInFlight))
    }
}

extension SubscriptionState {
    /// Messages of a key that one holder may have.
    var runLength: Int { Int(settings.order?.runLength ?? 1) }

    /// Whether the keys of all that was looked at are known; after a restart they are read again.
    var knowsKeys: Bool { order.map { $0.scanned >= window.end } ?? true }

    /// Whether a message was claimed before its turn.
    func isOutOfTurn(_ offset: Offset) -> Bool {
        order?.laneOf[offset]?.outOfTurn.contains(offset) ?? false
    }

    /// Whether a dead message holds a key.
    func holdsKey(_ key: UInt64) -> Bool {
        heldKeys.contains(key) && settings.order?.afterDeath == .hold
    }
}
