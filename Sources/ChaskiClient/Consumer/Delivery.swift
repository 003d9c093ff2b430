public import ChaskiModel
package import ChaskiRecords

/// One hand-out of a message to this consumer, held under a lease until a verdict.
///
/// Every verdict is confirmed: the call returns when it is on the broker's disk. A delivery takes
/// one verdict; a second fails with `already-settled`. Where the lease was lost meanwhile (the
/// client was cut off too long) a verdict fails with `stale`, and the message is handed out again.
public struct Delivery: Sendable {
    package let record: Record
    /// How often the message was handed out on this subscription, this time included; from 1.
    public let handout: UInt32
    /// The epoch of its token, which rises with each life of the broker.
    package let epoch: UInt32
    /// Attempts that failed before.
    public let failedBefore: UInt32
    /// When the broker appended the message, nanoseconds since 1970.
    public let appendTimeNanos: Int64
    let core: SubscriptionCore

    /// The message's position in its topic.
    public var offset: Offset { record.offset }

    /// The message's id, for life: `namespace/topic@offset`, or `namespace/topic~2@offset` in a
    /// topic that was created again.
    public var id: String {
        let source = core.topic
        let again = source.incarnation > 1 ? "~\(source.incarnation)" : ""
        return "\(core.namespace)/\(source.topic)\(again)@\(offset)"
    }

    /// The topic's name.
    public var topic: String { core.topic.topic }

    /// The message as it was published, copied at each call.
    public var message: Message { record.message }

    /// The message's payload, not copied.
    public var payload: ArraySlice<UInt8> { record.payload }

    /// The message's key, not copied; nil without one.
    public var key: ArraySlice<UInt8>? { record.key }

    /// The message's attributes in the publisher's order, decoded at each call.
    public var attributes: [Attribute] { record.attributes }

    /// The value of the first attribute of that name; nil without one.
    public func attribute(_ name: String) -> String? { record.attribute(name) }

    /// The payload as text; bytes that are no UTF-8 become U+FFFD.
    public var text: String { String(decoding: record.payload, as: UTF8.self) }

    // MARK: Verdicts

    /// The message is dealt with: it is never delivered again on this subscription.
    public func ack() async throws {
        try await settle(.ack)
    }

    /// The attempt failed: the message comes back after the subscription's backoff, and is dead
    /// after its maximum of failures.
    ///
    /// - Parameters:
    ///   - delay: comes back after this long instead of the backoff.
    ///   - reason: kept with the failure, at most 1 KiB.
    ///   - code: kept with it for programs: a short word or number, as `timeout` or `503`, at most
    ///     64 bytes. Dead letters can be found by it.
    public func retry(
        after delay: Duration? = nil, reason: String = "", code: String = ""
    ) async throws {
        try await settle(
            Verdict(.retry, delayNanos: delay?.clampedNanos, reason: reason, code: code))
    }

    /// The message can never be dealt with: it is dead at once.
    ///
    /// - Parameters:
    ///   - reason: kept with the dead letter, at most 1 KiB.
    ///   - code: kept with it for programs: a short word or number, at most 64 bytes.
    public func fail(reason: String = "", code: String = "") async throws {
        try await settle(Verdict(.fail, reason: reason, code: code))
    }

    /// Gives the message back, to be handed out again at once; no attempt is spent.
    public func release() async throws {
        try await settle(Verdict(.release))
    }

    /// Keeps the message longer: its lease ends `duration` from now. Rarely needed, for the
    /// client's heartbeat extends all leases.
    public func extend(by duration: Duration) async throws {
        try await settle(Verdict(.extend, delayNanos: duration.clampedNanos))
    }

    private func settle(_ verdict: Verdict) async throws {
        try await withUnsafeThrowingContinuation { continuation in
            settle(verdict, .one(continuation))
        }
    }

    /// Leaves a verdict that nobody waits for.
    func settleUnawaited(_ verdict: Verdict) {
        settle(verdict, nil)
    }

    private func settle(_ verdict: Verdict, _ waiter: SettleWaiter?) {
        let isAwaited = waiter != nil
        var waiter = waiter
        if verdict.givesBack, key != nil, core.topic.isOrdered { waiter = .givenBack(self, waiter) }
        core.settle(
            SettleItem(
                offset: offset, handout: handout, waiter: waiter, isAwaited: isAwaited), verdict)
    }
}
