package import ChaskiModel

/// What an atomic request says of the deliveries of one consumer.
package struct EntrustedRanges: Hashable, Sendable {
    /// The epoch of all of them.
    package var epoch: UInt32
    package var ranges: [TokenRange]

    package init(epoch: UInt32, ranges: [TokenRange]) {
        self.epoch = epoch
        self.ranges = ranges
    }
}

extension ConsumerMachine {
    /// A delivery whose verdict is part of an atomic request.
    struct Entrusted: Hashable, Sendable {
        var token: Held
        /// The broker has not taken it back since.
        var isGranted = true
    }

    /// Takes deliveries out for an atomic request: until it ended they take no other verdict, and
    /// their leases are kept. Throws `stale` or `already-settled` where one is not held; then
    /// nothing is taken.
    package mutating func entrust(
        _ leases: [LostLease]
    ) throws(Failure) -> [EntrustedRanges] {
        if case .ended(let failure) = phase { throw failure ?? Self.stopped(subscription) }
        var tokens: [(epoch: UInt32, offset: Offset, handout: UInt32)] = []
        var seen: Set<Offset> = []
        for lease in leases {
            guard let token = held[lease.offset], token.handout == lease.handout,
                seen.insert(lease.offset).inserted
            else {
                throw notHeld(
                    SettleItem(offset: lease.offset, handout: lease.handout, waiter: nil))
            }
            tokens.append((token.epoch, lease.offset, lease.handout))
        }
        for token in tokens {
            held.removeValue(forKey: token.offset)
            entrusted[token.offset] = Entrusted(
                token: Held(handout: token.handout, epoch: token.epoch))
        }
        tokens.sort { $0 < $1 }
        var parts: [EntrustedRanges] = []
        var rest = tokens[...]
        while let first = rest.first {
            let same = rest.prefix { $0.epoch == first.epoch }
            let (ranges, covered) = RangeCoalescer.coalesced(
                same.lazy.map { ($0.offset, $0.handout) }, epoch: first.epoch)
            parts.append(EntrustedRanges(epoch: first.epoch, ranges: ranges))
            rest = rest.dropFirst(max(1, covered))
        }
        return parts
    }

    /// The atomic request has its outcome: settled with it, or held as before.
    package mutating func transactionEnded(_ leases: [LostLease], isSettled: Bool) {
        for lease in leases {
            guard let entrusted = entrusted[lease.offset], entrusted.token.handout == lease.handout
            else { continue }
            self.entrusted.removeValue(forKey: lease.offset)
            if isSettled { continue }
            if entrusted.isGranted, held[lease.offset] == nil {
                held[lease.offset] = entrusted.token
            } else {
                lost.append(lease)
            }
        }
    }

    /// After a reconnect: what the broker no longer grants is lost, unless the request settles it.
    mutating func renewEntrusted(_ covers: (Offset, UInt32) -> Bool) {
        for (offset, one) in entrusted where !covers(offset, one.token.handout) {
            entrusted[offset]?.isGranted = false
        }
    }
}
