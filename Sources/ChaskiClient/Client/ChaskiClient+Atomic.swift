import ChaskiModel
import ChaskiWire
import NIOCore

extension ChaskiClient {
    /// Publishes messages and settles deliveries in one step: all of it takes effect, or none.
    ///
    /// ```swift
    /// try await client.consume("orders") { delivery in
    ///     let invoice = try makeInvoice(delivery.message)
    ///     try await client.atomically {
    ///         $0.publish(invoice, to: "invoices")
    ///         $0.ack(delivery)
    ///     }
    /// }
    /// ```
    ///
    /// So a handler that consumes, transforms and produces does it exactly once: a crash before
    /// leaves the message to be handed out again, one after leaves nothing to be done. The request
    /// is sent again, under one transaction id, when the connection is lost; the broker does it
    /// once. Deliveries must be of this client's subscriptions; all topics and subscriptions are of
    /// its namespace. At most 64 topics and verdicts of different kinds, 4 MiB in all.
    ///
    /// - Parameter build: says what belongs to the request. Nothing happens before it returns.
    /// - Throws: `ChaskiError`: definite (nothing of it happened, and the deliveries are held as
    ///   before) unless `isIndeterminate`; what `build` throws.
    @discardableResult
    public func atomically(
        isolation: isolated (any Actor)? = #isolation,
        _ build: (inout AtomicRequest) async throws -> Void
    ) async throws -> AtomicReceipt {
        var request = AtomicRequest()
        try await build(&request)
        try Task.checkCancellation()
        guard !request.isEmpty else { return AtomicReceipt(messages: [], duplicate: false) }
        do {
            return try await carryOut(request)
        } catch let failure as Failure {
            throw ChaskiError(failure)
        }
    }

    private func carryOut(_ request: AtomicRequest) async throws -> AtomicReceipt {
        var call = try AtomicCall(request, EncodingSettings.Value())
        var entrusted: [AtomicCall.Settlement] = []
        let outcome: Result<AtomicReceipt, ChaskiError>
        do {
            for settlement in call.settlements {
                let (session, parts) = try await settlement.core.entrust(settlement.leases)
                entrusted.append(settlement)
                for part in parts {
                    call.add(
                        settlement.verdict, on: settlement.core.subscription, of: session, part)
                }
            }
            outcome = .success(try await send(call))
        } catch let failure as Failure {
            outcome = .failure(ChaskiError(failure))
        } catch let error as ChaskiError {
            outcome = .failure(error)
        }
        let isSettled = if case .success = outcome { true } else { false }
        for settlement in entrusted {
            settlement.core.transactionEnded(settlement.leases, isSettled: isSettled)
        }
        return try outcome.get()
    }

    /// Sends it until there is an answer for good, for `requestTimeout` in all.
    private func send(_ call: AtomicCall) async throws -> AtomicReceipt {
        let clock = ContinuousClock()
        let end = clock.now + configuration.requestTimeout
        let encoded = try call.encoded()
        var mayBeDone = false
        while true {
            do {
                let answer = try await self.call(
                    "chaski.v1.Publisher/PublishAtomically", encoded,
                    attachment: call.attachment[...], isRepeatable: true)
                return try call.receipt(answer)
            } catch let error as ChaskiError {
                // Without an answer, or with one that does not know, it may be done.
                mayBeDone = mayBeDone || error.isIndeterminate || error.reason == .timedOut
                let wait = error.retryAfter ?? (error.isIndeterminate ? .milliseconds(500) : nil)
                guard let wait, clock.now + wait < end, !Task.isCancelled else {
                    throw mayBeDone ? error.withoutOutcome : error
                }
                try? await Task.sleep(for: wait)
            }
        }
    }
}

extension ChaskiError {
    /// The same, where something sent before may have been done.
    fileprivate var withoutOutcome: ChaskiError {
        ChaskiError(
            code: code, reason: .indeterminate,
            message: "it is not known whether the request was carried out: \(message)")
    }
}

extension SubscriptionCore {
    /// Takes deliveries out for an atomic request; answers whose they are and their tokens.
    func entrust(
        _ leases: [LostLease]
    ) async throws -> (session: SessionID, parts: [EntrustedRanges]) {
        try await withCheckedThrowingContinuation { continuation in
            let isOpen = onLoopOrMissing { stream in
                guard let stream else {
                    return continuation.resume(throwing: Failure.clientClosed)
                }
                continuation.resume(with: stream.entrust(leases))
            }
            if !isOpen { continuation.resume(throwing: Failure.clientClosed) }
        }
    }

    /// An atomic request with deliveries of this consumer has its outcome.
    func transactionEnded(_ leases: [LostLease], isSettled: Bool) {
        onLoop { $0.transactionEnded(leases, isSettled: isSettled) }
    }
}
