import ChaskiModel
import NIOCore

/// The deliveries of one subscription, shared with all its other consumers.
///
/// ```swift
/// let subscription = try await client.subscribe("billing")
/// for try await delivery in subscription {
///     try await handle(delivery.message)
///     try await delivery.ack()
/// }
/// ```
///
/// Messages are fetched ahead up to the limits of `SubscriptionConfiguration`; leases of all that
/// is held are extended while the client lives, and kept across reconnects. Several tasks may
/// iterate one subscription: each delivery goes to one of them. Iterating ends when the
/// subscription is stopped or the task cancelled, and throws `ChaskiError` when the broker ends it.
public final class Subscription: AsyncSequence, Sendable {
    /// What is iterated.
    public typealias Element = Delivery

    /// The subscription's name.
    public var name: String { core.subscription }
    let core: SubscriptionCore

    init(core: SubscriptionCore) { self.core = core }

    deinit { core.onLoop { $0.finish() } }

    /// An iterator; there may be several.
    public func makeAsyncIterator() -> Iterator { Iterator(subscription: self) }

    /// Iterates deliveries.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let subscription: Subscription

        /// The next delivery; nil after `stop`, or when the task is cancelled.
        public mutating func next() async throws -> Delivery? {
            try await subscription.core.next()
        }
    }

    /// Acks many deliveries, in any order, and waits until all are on the broker's disk.
    ///
    /// - Throws: `ChaskiError` of the first that failed, after all have an outcome; the others are
    ///   confirmed all the same.
    public func acknowledge(_ deliveries: some Sequence<Delivery>) async throws {
        let deliveries = Array(deliveries)
        guard !deliveries.isEmpty else { return }
        let group = SettleGroup(count: deliveries.count)
        core.acknowledge(
            deliveries.map {
                SettleItem(offset: $0.offset, handout: $0.handout, waiter: .group(group))
            })
        let (_, failure) = await group.wait()
        if let failure { throw ChaskiError(failure) }
    }

    /// From now on, on an ordered subscription, a key's next delivery comes only once its last one
    /// has another verdict than an ack, or `ackEnded`, as `ChaskiClient.consume` has it.
    package func keepKeysApart() { core.keepKeysApart() }

    /// A delivery that was iterated is acked; or that failed, as its lease was lost.
    package func ackEnded(_ delivery: Delivery, isAcked: Bool) {
        if isAcked { core.acked(delivery) } else { core.givenBack(delivery, isConfirmed: false) }
    }

    /// Takes no more: iterating ends, and what was buffered is given back. Deliveries that are
    /// being worked on stay held and can still be settled.
    public func stop() async {
        await core.stop()
    }

    /// Ends in good order: what is buffered is given back, verdicts under way are confirmed, and
    /// what is still held after that is given back too.
    public func close() async {
        core.onLoop { $0.finish() }
        _ = await core.waitForEnd()
    }
}
