import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// What looking at the offsets of a verdict found.
    struct Examination {
        /// To be written.
        var ranges: [EntryRange] = []
        var accepted: UInt32 = 0
        var rejected: [SettleRejection] = []
        /// Claimed out of turn after a restart: they come back.
        var outOfTurn: [EntryRange] = []
        /// The answer depends on something on its way to the disk.
        var waits = false
    }

    func settle(
        _ request: RequestID, _ command: SettleCommand, _ now: Now, _ effects: inout [Effect]
    ) {
        guard let holder = sessions.consumers[command.consumer],
            !holder.subscription.activity.isDeleting
        else {
            let failure = Failure(.notFound, .unknownSession, "the consumer has ended")
            effects.append(.reply(request, .failure(failure)))
            return
        }
        signOfLife(holder, now)
        if let failure = Self.checkRanges(command.ranges) {
            effects.append(.reply(request, .failure(failure)))
            return
        }
        guard tail.control.count < configuration.maximumQueuedRequests else {
            effects.append(.reply(request, .failure(.overloaded("verdicts wait for the journal"))))
            return
        }
        if let failure = Self.keysUnknown(to: command.verb, command.ranges, holder.subscription) {
            effects.append(.reply(request, .failure(failure)))
            return
        }
        let found = examine(command.ranges, command.verb, holder, now)
        let reply = PendingReply.settled(accepted: found.accepted, rejected: found.rejected)
        guard !found.ranges.isEmpty else {
            if found.waits {
                tail.control.append(TailItem(.barrier, reply, [request]))
            } else {
                let answer = Reply.settled(accepted: found.accepted, rejected: found.rejected)
                effects.append(.reply(request, .success(answer)))
            }
            return
        }
        let entries = verdicts(
            found.ranges, by: holder, command.verb, delayNanos: command.delayNanos,
            reason: command.reason, code: command.code)
        if command.verb == .extend { holder.extendsInFlight += 1 }
        for entry in entries.dropLast() {
            tail.control.append(TailItem(.entry(.settled(entry)), .done, []))
        }
        guard let last = entries.last else { preconditionFailure("a verdict has an entry") }
        tail.control.append(TailItem(.entry(.settled(last)), reply, [request]))
        if command.verb != .ack, command.verb != .extend {
            supersede(after: found.ranges, holder)
        }
    }

    /// Whether a verdict names messages whose keys were not read again since the restart.
    static func keysUnknown(
        to verb: Verb, _ ranges: [TokenRange], _ subscription: SubscriptionState
    ) -> Failure? {
        guard let order = subscription.order, verb != .extend, let last = ranges.last,
            order.scanned < subscription.window.end,
            last.first + Offset(last.count) > order.scanned
        else { return nil }
        return .keysUnknown(below: order.scanned)
    }

    /// The entries of a verdict on what `examine` accepted: one, and where the probe of a half-open
    /// breaker fails, another before it.
    func verdicts(
        _ ranges: [EntryRange], by holder: Holder, _ verb: Verb, delayNanos: Int64?, reason: String,
        code: String
    ) -> [Settled] {
        var settled = Settled(
            subscription: holder.subscription.id, session: holder.session.id, verb: verb,
            ranges: ranges)
        if verb == .retry || verb == .fail {
            settled.reason = StateEncoding.cut(reason, StateEncoding.reasonBytes)
            settled.code = StateEncoding.cut(code, StateEncoding.codeBytes)
            settled.seed = random.next()
        }
        if verb == .extend {
            settled.delayNanos = max(0, delayNanos ?? holder.leaseNanos)
        }
        guard verb == .retry else { return [settled] }
        settled.delayNanos = delayNanos.map { max(0, $0) }
        guard let probe = probe(holder.subscription, in: ranges) else { return [settled] }
        // The message waits for as long as the breaker stays open.
        var failed = settled
        failed.ranges = [probe]
        failed.isProbe = true
        failed.delayNanos = holder.subscription.settings.breaker?.openNanos
        settled.ranges = ranges.removing(probe.first)
        return settled.ranges.isEmpty ? [failed] : [failed, settled]
    }

    /// Looks at each offset of a verdict; marks those accepted as on their way.
    func examine(
        _ ranges: [TokenRange], _ verb: Verb, _ holder: Holder, _ now: Now
    ) -> Examination {
        var found = Examination()
        // Read only below: one access for all offsets.
        let leases = holder.subscription.leases
        for range in ranges { examine(range, verb, holder, leases, now, &found) }
        proposeReturn(
            found.outOfTurn, holder.subscription.id, holder.session.id, .superseded)
        return found
    }

    /// Looks at each offset of a range; marks those accepted as on their way.
    private func examine(
        _ range: TokenRange, _ verb: Verb, _ holder: Holder, _ leases: LeaseTable, _ now: Now,
        _ found: inout Examination
    ) {
        let subscription = holder.subscription
        let window = subscription.window
        let end = window.end
        var marks = Slot.inFlight
        if verb == .ack { marks |= Slot.ackInFlight }
        if verb == .extend { marks = 0 }
        let order = subscription.order
        for offset in range.first..<range.first + Offset(range.count) {
            guard offset < end, offset >= subscription.created.startOffset else {
                found.reject(offset, range, .stale)
                continue
            }
            guard let slot = window.slot(offset) else {
                found.reject(offset, range, .alreadySettled)
                continue
            }
            if slot.pointee.isSettled {
                if verb == .ack, isRepeat(slot.pointee, range, holder, now) {
                    found.accepted += 1
                } else {
                    found.reject(offset, range, .alreadySettled)
                }
                continue
            }
            guard slot.pointee.state == .leased, slot.pointee.handout == range.handout,
                range.epoch <= epoch,
                leases.belongs(slot.pointee.a, to: holder.index, epoch: range.epoch)
            else {
                found.reject(offset, range, .stale)
                continue
            }
            if slot.pointee.flags & Slot.inFlight != 0 {
                if slot.pointee.has(Slot.returning) {
                    found.reject(offset, range, .stale)
                    continue
                }
                found.waits = true
                if verb == .ack, slot.pointee.has(Slot.ackInFlight) {
                    found.accepted += 1
                } else {
                    found.reject(offset, range, .alreadySettled)
                }
                continue
            }
            if let lane = order?.laneOf[offset] {
                if lane.outOfTurn.contains(offset) {
                    slot.pointee.flags |= Slot.inFlight | Slot.returning
                    found.outOfTurn.append(offset: offset, handout: range.handout)
                    found.reject(offset, range, .stale)
                    continue
                }
                if verb != .extend, verb != .release,
                    let reason = orderRejection(
                        offset, verb, lane, subscription, named: found.ranges)
                {
                    found.reject(offset, range, reason)
                    continue
                }
            }
            slot.pointee.flags |= marks
            found.accepted += 1
            found.ranges.append(offset: offset, handout: range.handout)
        }
    }

    /// Whether this is the ack that settled the message, again, by the same session.
    private func isRepeat(_ slot: Slot, _ range: TokenRange, _ holder: Holder, _ now: Now) -> Bool {
        guard slot.state == .acked, slot.a == holder.session.ordinal, slot.handout == range.handout
        else { return false }
        let age = Self.seconds(now.clock) &- slot.b
        return Int64(age) <= configuration.repeatWindowNanos / 1_000_000_000
    }

    /// Seconds of the broker clock, modulo 2^32.
    static func seconds(_ clock: Int64) -> UInt32 {
        UInt32(truncatingIfNeeded: clock / 1_000_000_000)
    }
}

extension StateEncoding {
    /// At most so many bytes of a text, cut between characters.
    static func cut(_ text: String, _ maximum: Int) -> String {
        guard text.utf8.count > maximum else { return text }
        var kept = text.unicodeScalars.startIndex
        var bytes = 0
        while kept < text.unicodeScalars.endIndex {
            bytes += UTF8.width(text.unicodeScalars[kept])
            if bytes > maximum { break }
            kept = text.unicodeScalars.index(after: kept)
        }
        return String(text.unicodeScalars[..<kept])
    }
}

extension Failure {
    static func keysUnknown(below offset: Offset) -> Failure {
        Failure(
            .unavailable, .overloaded,
            "after a restart the keys of messages are read again, up to offset \(offset) so far",
            retryAfterNanos: 50_000_000)
    }
}

extension NamespaceMachine.Examination {
    @inline(never)
    fileprivate mutating func reject(
        _ offset: Offset, _ range: TokenRange, _ reason: FailureReason
    ) {
        let rejection = SettleRejection(offset: offset, handout: range.handout, reason: reason)
        rejected.append(rejection)
    }
}

extension LeaseTable {
    /// Whether the group at `index` is of this holder, and tokens of `epoch` name it.
    @inline(__always)
    func belongs(_ index: UInt32, to holder: Int32, epoch: UInt32) -> Bool {
        let place = Int(index)
        return groups[place].holder == holder && epoch >= groups[place].epoch
    }
}
