public import ChaskiModel
import ChaskiRecords
import NIOCore

/// Publishes messages to topics of the client's namespace.
///
/// Any number of tasks may share one producer. What they publish while earlier batches are on
/// their way travels together in the next, so a task simply awaits each message:
///
/// ```swift
/// let producer = client.producer()
/// let receipt = try await producer.publish(Message("hello", key: "42"), to: "orders")
/// ```
///
/// A call returns when the message is on the broker's disk. Messages that one task publishes one
/// after the other keep their order, across refusals and reconnects too; a message is stored once,
/// however often it had to be sent. Cancelling the task does not take back what was handed over:
/// the call still returns its outcome.
public final class Producer: Sendable {
    /// Identifies this producer to the broker.
    public let producerID: ProducerID
    private let inbox: ProducerInbox
    private let encoding: EncodingSettings
    private let gate: LoopGate
    private let stream: NIOLoopBoundBox<PublisherStream?>

    init(
        producerID: ProducerID, inbox: ProducerInbox, encoding: EncodingSettings,
        gate: LoopGate, stream: NIOLoopBoundBox<PublisherStream?>
    ) {
        self.producerID = producerID
        self.inbox = inbox
        self.encoding = encoding
        self.gate = gate
        self.stream = stream
    }

    deinit {
        let stream = stream
        gate.execute { stream.value?.retire() }
    }

    /// Publishes one message and waits until it is on disk.
    ///
    /// - Throws: `ChaskiError`: definite (the message is not stored and never will be) unless
    ///   `isIndeterminate`; `CancellationError` where the task was cancelled before.
    @discardableResult
    public func publish(_ message: Message, to topic: String) async throws -> PublishReceipt {
        try Task.checkCancellation()
        let bytes = RecordBatchBuilder.encodedBytes(of: message)
        return try await withUnsafeThrowingContinuation { continuation in
            submit(
                PublishSubmission(
                    topic: topic, content: .message(message), bytes: bytes,
                    waiter: .message(continuation), submittedNanos: Link.nowNanos()))
        }
    }

    /// Publishes messages as one batch, stored whole or not at all, at consecutive offsets, and
    /// waits until it is on disk. The fastest way: several of these at a time, each of some
    /// hundred messages.
    ///
    /// - Parameter messages: 1 to 1,000 unless the broker allows more, 4 MiB in all.
    /// - Throws: `ChaskiError`: definite (nothing is stored and never will be) unless
    ///   `isIndeterminate`; `CancellationError` where the task was cancelled before.
    @discardableResult
    public func publish(batch messages: [Message], to topic: String) async throws -> BatchReceipt {
        try Task.checkCancellation()
        let settings = encoding.current
        var encoder = BatchEncoder(limits: settings.limits, compression: settings.compression)
        let encoded: [UInt8]
        do throws(Failure) {
            encoded = try encoder.encode(messages)
        } catch {
            throw ChaskiError(error)
        }
        return try await withUnsafeThrowingContinuation { continuation in
            submit(
                PublishSubmission(
                    topic: topic, content: .batch(encoded, count: messages.count),
                    bytes: encoded.count, waiter: .batch(continuation),
                    submittedNanos: Link.nowNanos()))
        }
    }

    /// Publishes many messages and gives their outcomes as they come.
    ///
    /// ```swift
    /// for try await outcome in producer.publish(contentsOf: lines, to: "log") {
    ///     if case .failure(let error) = outcome.result { print(outcome.index, error) }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - messages: read as there is room; an error that it throws is thrown after the outcomes
    ///     of what came before.
    ///   - window: messages that may be without outcome, or with one that nobody took, at once.
    public func publish<Messages: AsyncSequence & Sendable>(
        contentsOf messages: Messages, to topic: String, window: Int = 10_000
    ) -> PublishOutcomes where Messages.Element == Message {
        let collector = OutcomeCollector(window: window)
        let task = Task {
            do {
                var index = 0
                for try await message in messages {
                    guard await collector.enter() else { return }
                    submit(message, to: topic, .outcome(collector, index: index))
                    index += 1
                }
                collector.sourceEnded(nil)
            } catch {
                collector.sourceEnded(error)
            }
        }
        return PublishOutcomes(collector: collector, task: task)
    }

    /// Publishes many messages and gives their outcomes as they come.
    ///
    /// - Parameters:
    ///   - messages: read as there is room.
    ///   - window: messages that may be without outcome, or with one that nobody took, at once.
    public func publish<Messages: Sequence & Sendable>(
        contentsOf messages: Messages, to topic: String, window: Int = 10_000
    ) -> PublishOutcomes where Messages.Element == Message {
        let collector = OutcomeCollector(window: window)
        let task = Task {
            var index = 0
            for message in messages {
                guard await collector.enter() else { return }
                submit(message, to: topic, .outcome(collector, index: index))
                index += 1
            }
            collector.sourceEnded(nil)
        }
        return PublishOutcomes(collector: collector, task: task)
    }

    /// Takes nothing more, and returns when all that was handed over has its outcome.
    public func close() async {
        let stream = stream
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isOpen = gate.execute {
                guard let stream = stream.value else { return continuation.resume() }
                stream.retire { continuation.resume() }
            }
            if !isOpen { continuation.resume() }
        }
    }

    private func submit(_ message: Message, to topic: String, _ waiter: PublishWaiter) {
        submit(
            PublishSubmission(
                topic: topic, content: .message(message),
                bytes: RecordBatchBuilder.encodedBytes(of: message), waiter: waiter,
                submittedNanos: Link.nowNanos()))
    }

    private func submit(_ submission: consuming ProducerInbox.Submission) {
        guard inbox.submit(submission) else { return }
        let stream = stream
        gate.execute { stream.value?.flush() }
    }
}

/// The outcomes of `publish(contentsOf:)`, in the order in which they became known. Iterated once;
/// what was not sent when it is dropped, or its task cancelled, is not published.
public struct PublishOutcomes: AsyncSequence, Sendable {
    private let handle: Handle

    /// Ends the sender with the last copy.
    fileprivate final class Handle: Sendable {
        let collector: OutcomeCollector
        private let task: Task<Void, Never>

        init(collector: OutcomeCollector, task: Task<Void, Never>) {
            self.collector = collector
            self.task = task
        }

        deinit {
            collector.abandon()
            task.cancel()
        }
    }

    init(collector: OutcomeCollector, task: Task<Void, Never>) {
        handle = Handle(collector: collector, task: task)
    }

    /// The iterator; make one only.
    public func makeAsyncIterator() -> Iterator { Iterator(handle: handle) }

    /// Iterates the outcomes.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let handle: Handle

        /// The next outcome; nil after the last.
        public mutating func next() async throws -> PublishOutcome? {
            try await handle.collector.next()
        }
    }
}
