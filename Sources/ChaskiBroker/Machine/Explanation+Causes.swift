package import ChaskiModel

// What is said of each cause, in one place.
extension Explanation.Cause {
    private func with(_ change: (inout Self) -> Void) -> Self {
        var copy = self
        change(&copy)
        return copy
    }

    // MARK: nothing is wrong

    static func caughtUp(next: Offset) -> Self {
        Self(.caughtUp, "everything below offset \(next) is settled, and there is no more")
            .with { $0.offset = next }
    }

    static func notPublished(next: Offset) -> Self {
        Self(.notPublished, "the topic ends before offset \(next)").with { $0.offset = next }
    }

    static func beforeStart(_ start: Offset) -> Self {
        Self(.beforeStart, "the subscription begins at offset \(start)").with { $0.offset = start }
    }

    static var acked: Self { Self(.acked, "it is acknowledged") }

    static func dead(_ letter: DeadLetter, _ now: Now) -> Self {
        Self(
            .dead,
            "it is dead (\(letter.cause.name)) after \(letter.failed) failures and "
                + "\(letter.handedOut) hand-outs"
                + (letter.reason.isEmpty ? "" : ": \(letter.reason)")
        ).with {
            $0.sinceNanos = letter.clockNanos
            $0.session = letter.session
            $0.count = UInt64(letter.failed)
        }
    }

    // MARK: everything is held back

    static func journal(_ failure: Failure) -> Self {
        Self(.journal, "the namespace's journal takes nothing: \(failure.message)")
            .with { $0.failure = failure }
    }

    static func journalHeld(until: Int64) -> Self {
        Self(.journal, "the disk refused a write of the journal; it is tried again")
            .with { $0.untilNanos = until }
    }

    static var noConsumer: Self {
        Self(.noConsumer, "no consumer is connected").with { $0.count = 0 }
    }

    static func paused(_ pause: Pause) -> Self {
        Self(
            .paused,
            pause.until == nil ? "it is paused until somebody resumes it" : "it is paused"
        ).with {
            $0.sinceNanos = pause.sinceClock
            $0.untilNanos = pause.until
        }
    }

    static var breakerByHand: Self {
        Self(.breaker, "its breaker was set open by hand: set it closed or auto to go on")
    }

    static func breakerOpen(
        _ counts: VerdictCounts, _ policy: BreakerPolicy, since: Int64, until: Int64
    ) -> Self {
        // A failed probe opens it again without a window.
        let why =
            counts.total > 0
            ? "\(counts.failed) of \(counts.total) verdicts were failures "
                + "(\(thousandths(counts.failureThousandths)); it opens at "
                + "\(thousandths(policy.failureThousandths)))"
            : "a probe failed"
        return Self(.breaker, "its breaker is open: \(why); then a probe goes out").with {
            $0.sinceNanos = since
            $0.untilNanos = until
            $0.count = counts.failed
            $0.limit = counts.total
        }
    }

    static func breakerProbes(_ probe: Offset, since: Int64) -> Self {
        Self(.breaker, "its breaker is half-open: offset \(probe) is out as a probe").with {
            $0.sinceNanos = since
            $0.offset = probe
        }
    }

    private static func thousandths(_ share: UInt32) -> String {
        share % 10 == 0 ? "\(share / 10) %" : "\(share / 10).\(share % 10) %"
    }

    static func rateLimit(_ rate: UInt32, next: Int64) -> Self {
        Self(.rateLimit, "its rate limit of \(rate) a second is used up").with {
            $0.limit = UInt64(rate)
            $0.untilNanos = next
        }
    }

    static func stalled(_ block: Supply.Block) -> Self {
        Self(.stalled, "its messages cannot be read: \(block.failure.message)").with {
            $0.failure = block.failure
            $0.untilNanos = block.retryAt
        }
    }

    static func windowFull(_ tracked: UInt64, _ maximum: UInt32) -> Self {
        Self(
            .windowFull,
            "\(tracked) messages are out or wait, of \(maximum) at most: nothing new goes out"
        ).with {
            $0.count = tracked
            $0.limit = UInt64(maximum)
        }
    }

    static func windowWide(_ settledBelow: Offset, _ cursor: Offset) -> Self {
        Self(
            .windowFull,
            "offset \(settledBelow) is unsettled, and the cursor is at \(cursor), as far as it may be"
        ).with {
            $0.offset = settledBelow
            $0.count = cursor - settledBelow
            $0.limit = Window.maximumSpan
        }
    }

    static func busyKeys(_ keys: Int, waiting: Int, first: Offset) -> Self {
        Self(
            .busyKey,
            "\(messagesWait(waiting)) behind others of \(theirKeys(keys)), the first at \(first)"
        ).with {
            $0.offset = first
            $0.count = UInt64(waiting)
        }
    }

    static func claimedKeys(_ keys: Int, waiting: Int, first: Offset) -> Self {
        Self(
            .busyKey,
            "\(messagesWait(waiting)) until later ones of \(theirKeys(keys)), the first at \(first), come "
                + "back: their sessions have them since before the restart"
        ).with {
            $0.offset = first
            $0.count = UInt64(waiting)
        }
    }

    private static func counted(_ count: some BinaryInteger, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }

    private static func messagesWait(_ count: some BinaryInteger) -> String {
        counted(count, "message") + (count == 1 ? " waits" : " wait")
    }

    private static func theirKeys(_ keys: Int) -> String {
        keys == 1 ? "one key" : "their \(keys) keys"
    }

    static func heldKeys(_ keys: Int, waiting: Int, first: Offset) -> Self {
        Self(
            .heldKey,
            "\(messagesWait(waiting)) behind dead ones of \(theirKeys(keys)), the first at \(first): "
                + "redrive or purge these"
        ).with {
            $0.offset = first
            $0.count = UInt64(waiting)
        }
    }

    static func keysUnknown(from: Offset, to end: Offset) -> Self {
        Self(
            .reading,
            "after the restart the keys of messages from \(from) to \(end) are to be read again"
        ).with { $0.offset = from }
    }

    static func ceiling(_ value: Offset, _ proposed: Offset) -> Self {
        Self(
            .ceiling, "offsets from \(value) on go out once the hand-out ceiling is raised on disk"
        ).with {
            $0.offset = value
            $0.limit = proposed
        }
    }

    static func reading(from offset: Offset) -> Self {
        Self(.reading, "messages are being read from disk").with { $0.offset = offset }
    }

    // MARK: consumers

    /// Why a consumer that is served gets nothing at the moment.
    static func credit(_ holder: Holder, _ next: UInt64?) -> Self {
        let limit = holder.limit
        let name = holder.session.id
        let text: String
        if holder.session.apart != nil {
            text =
                "session \(name.hexadecimal) is set apart: what it has, or waits for, may have killed its "
                + "handlers"
        } else if limit.messages == 0 {
            text = "session \(name.hexadecimal) takes nothing at the moment (its limit is 0)"
        } else if holder.messagesOut >= limit.messages {
            text =
                "session \(name.hexadecimal) holds \(holder.messagesOut) of \(limit.messages) messages"
        } else if holder.unsizedOut > 0 {
            text =
                "session \(name.hexadecimal) holds \(counted(holder.unsizedOut, "message")) from before the restart "
                + "whose lengths are not read yet"
        } else {
            text =
                "session \(name.hexadecimal) holds \(holder.bytesOut) of \(limit.bytes) bytes"
                + (next.map { ", and the next message has \($0)" } ?? "")
        }
        return Self(.credit, text).with { $0.take(holder) }
    }

    static func moreConsumers(_ count: Int) -> Self {
        Self(.credit, "the same holds for \(counted(count, "more consumer"))")
            .with { $0.count = UInt64(count) }
    }

    static func silent(_ holder: Holder) -> Self {
        Self(
            .silent,
            "session \(holder.session.id.hexadecimal) is passed over: its leases ran out in silence"
        ).with {
            $0.take(holder)
            $0.sinceNanos = holder.session.lastSeen
        }
    }

    private mutating func take(_ holder: Holder) {
        session = holder.session.id
        count = UInt64(holder.messagesOut)
        limit = UInt64(holder.limit.messages)
        bytes = holder.bytesOut
        byteLimit = holder.limit.bytes
    }

    // MARK: messages that wait for something of their own

    static func leased(
        by session: SessionID, handout: UInt32, failed: UInt32, until: Int64, isConnected: Bool
    ) -> Self {
        Self(
            .leased,
            "session \(session.hexadecimal) has it"
                + (isConnected ? "" : ", disconnected; it may come back for it")
                + " (hand-out \(handout), \(counted(failed, "failure")))"
        ).with {
            $0.session = session
            $0.untilNanos = until
            $0.count = UInt64(handout)
        }
    }

    static func leased(_ holder: Holder, nextEnd: Int64?) -> Self {
        Self(
            .leased,
            "session \(holder.session.id.hexadecimal)"
                + (holder.consumer == nil ? ", disconnected," : "")
                + " holds \(counted(holder.messagesOut, "message"))"
        ).with {
            $0.take(holder)
            $0.untilNanos = nextEnd
        }
    }

    static func verdict(_ count: UInt64) -> Self {
        Self(.verdict, "a verdict on it is on its way to the disk").with { $0.count = count }
    }

    static func suspicion(_ count: UInt64, first: Offset, probing: Int, of consumers: Int) -> Self {
        Self(
            .suspicion,
            "\(counted(count, "message")) that may have killed a handler, from offset \(first) on: handed "
                + "out to consumers that hold nothing else (\(probing) of \(consumers) try some now)"
        ).with {
            $0.offset = first
            $0.count = count
        }
    }

    static func backoff(failed: UInt32, due: Int64, _ now: Now) -> Self {
        Self(
            .backoff,
            due <= now.clock
                ? "its retry is due, and goes out once that is on disk (\(counted(failed, "failure")))"
                : "it waits for its retry after \(counted(failed, "failure"))"
        ).with {
            $0.count = UInt64(failed)
            $0.untilNanos = due
        }
    }

    static func waiting(_ count: UInt64, first: Int64?, _ now: Now) -> Self {
        Self(.backoff, "\(messagesWait(count)) for a retry").with {
            $0.count = count
            $0.untilNanos = first
        }
    }

    /// Messages that are to die and wait for that.
    static func dying(_ count: UInt64, _ subscription: SubscriptionState) -> Self {
        let target = subscription.settings.deadLetters.forwardTo
        let what = counted(count, "message")
        let how = target.map { "forwarded to topic \"\($0)\"" } ?? "put among the dead letters"
        let block = subscription.deaths.block
        let text =
            block.map { "failed for good and cannot be \(how) yet: \($0.failure.message)" }
            ?? "failed for good and will be \(how)"
        return Self(.dying, "\(what) \(text)").with {
            $0.count = count
            $0.failure = block?.failure
            $0.untilNanos = block?.retryAt
        }
    }

    static func deadStoreFull(_ count: Int, _ limit: Int) -> Self {
        Self(
            .deadStoreFull,
            "\(count) dead letters are kept, of \(limit) at most: what should die waits"
        ).with {
            $0.count = UInt64(clamping: count)
            $0.limit = UInt64(clamping: limit)
        }
    }

    static func awaitingResume(_ count: UInt64, until: Int64?) -> Self {
        Self(
            .awaitingResume,
            "\(counted(count, "message")) may be held by sessions from before the restart, which may "
                + "come back"
        ).with {
            $0.count = count
            $0.untilNanos = until
        }
    }

    static func behind(_ count: UInt64, _ cursor: Offset) -> Self {
        Self(
            .behind,
            "it comes behind \(counted(count, "message")) that nobody looked at yet, from offset "
                + "\(cursor) on"
        ).with {
            $0.offset = cursor
            $0.count = count
        }
    }
}

extension DeathCause {
    /// As it is said to people and on the wire.
    package var name: String {
        switch self {
        case .failedOnPurpose: "failed-on-purpose"
        case .maximumFailures: "maximum-failures"
        case .abandoned: "abandoned"
        case .maximumAge: "maximum-age"
        }
    }
}

extension SessionID {
    /// 32 digits.
    package var hexadecimal: String {
        let digits = String(rawValue, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }
}
