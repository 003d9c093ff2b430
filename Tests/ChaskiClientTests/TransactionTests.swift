import ChaskiClient
import ChaskiModel
import ChaskiRecords
import Testing

/// Deliveries entrusted to atomic requests, and batches with a message in conflict.
@Suite struct TransactionTests {
    private func leases(_ offsets: [Offset], handout: UInt32 = 1) -> [LostLease] {
        offsets.map { LostLease(offset: $0, handout: handout) }
    }

    @Test func `What an atomic request settled takes no other verdict and is not claimed again`()
        throws
    {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 5)
        let parts = try harness.machine.entrust(leases([3, 0, 1]))
        #expect(
            parts == [
                EntrustedRanges(
                    epoch: 1,
                    ranges: [
                        TokenRange(epoch: 1, first: 0, count: 2, handout: 1),
                        TokenRange(epoch: 1, first: 3, count: 1, handout: 1),
                    ])
            ])
        harness.settle(0)
        harness.pump()
        #expect(harness.failed[0]?.reason == .alreadySettled)
        #expect(throws: Failure.self) { try harness.machine.entrust(leases([2, 3])) }
        #expect(harness.machine.unconfirmed == 3)
        harness.machine.transactionEnded(leases([0, 1, 3]), isSettled: true)
        #expect(harness.machine.unconfirmed == 0 && harness.machine.heldCount == 2)
        harness.machine.connectionLost(now: harness.now)
        harness.machine.connected()
        harness.sent.removeAll()
        harness.pump()
        guard case .subscribe(_, let claims, _, _)? = harness.sent.first else {
            Issue.record("no subscribe")
            return
        }
        #expect(claims.map(\.first) == [2, 4])
    }

    @Test func `A failed request leaves deliveries held, unless the broker took them back`() throws
    {
        var harness = ConsumerHarness()
        harness.subscribe()
        harness.deliver(0, 3)
        _ = try harness.machine.entrust(leases([0, 1]))
        harness.machine.transactionEnded(leases([0, 1]), isSettled: false)
        #expect(harness.machine.heldCount == 3)
        // Cut off meanwhile: what is entrusted is claimed, and only one of them granted.
        _ = try harness.machine.entrust(leases([0, 1]))
        harness.machine.connectionLost(now: harness.now)
        harness.sent.removeAll()
        harness.subscribe(
            epoch: 2, held: [TokenRange(epoch: 2, first: 1, count: 2, handout: 1)])
        guard case .subscribe(_, let claims, _, _)? = harness.sent.first else {
            Issue.record("no subscribe")
            return
        }
        #expect(claims.map(\.count) == [3])
        harness.machine.transactionEnded(leases([0, 1]), isSettled: false)
        harness.pump()
        #expect(harness.lost == leases([0]))
        #expect(harness.machine.heldCount == 2)
        let parts = try harness.machine.entrust(leases([1, 2]))
        #expect(parts.map(\.epoch) == [2])
    }

    @Test func `A conflict of one message is not that of those that share its batch`() throws {
        var harness = ProducerHarness()
        harness.connect()
        harness.submit(1...1)
        harness.bind()
        // Three messages wait while two batches are on their way, and share the next.
        harness.submit(2...2)
        harness.submit(3...5)
        let first = harness.allBatches()
        harness.ok(first[0].id, at: 0)
        let shared = try #require(harness.allBatches().last)
        harness.ok(first[1].id, at: 1)
        #expect(try RecordBatchView(validating: shared.bytes[...]).count == 3)
        harness.refuse(shared.id, .dedupConflict)
        let singles = harness.allBatches().filter { $0.sequence >= shared.sequence }.suffix(3)
        #expect(singles.map(\.sequence) == [2, 3, 4])
        let texts = try singles.map {
            let view = try RecordBatchView(validating: $0.bytes[...])
            return String(decoding: try view.record(at: 0).payload, as: UTF8.self)
        }
        #expect(texts == ["m3", "m4", "m5"])
        let ids = singles.map(\.id)
        harness.ok(ids[0], at: 2)
        harness.refuse(ids[1], .dedupConflict)
        harness.refuse(ids[2], .afterRefused)
        let failures = harness.outcomes.filter {
            if case .failure = $0.outcome { true } else { false }
        }
        #expect(failures.map(\.waiter) == [4])
    }
}

extension ProducerHarness {
    /// The batches sent so far, with their request ids.
    func allBatches() -> [(id: UInt64, sequence: UInt64, bytes: [UInt8])] {
        sent.compactMap {
            guard case .batch(let id, _, let sequence, let bytes) = $0 else { return nil }
            return (id, sequence, bytes)
        }
    }
}
