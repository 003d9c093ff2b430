package import ChaskiModel

/// Turning deliveries into the ranges that requests carry.
package enum RangeCoalescer {
    /// The fewest ranges for `tokens`, which ascend by offset; equal neighbours count once. Stops
    /// before the range that would pass `maximum`, and before a second hand-out of an offset.
    ///
    /// - Returns: the ranges and how many of the tokens they cover.
    package static func coalesced(
        _ tokens: some RandomAccessCollection<(offset: Offset, handout: UInt32)>, epoch: UInt32,
        maximum: Int = Limits.settleRanges
    ) -> (ranges: [TokenRange], covered: Int) {
        precondition(maximum > 0)
        var ranges: [TokenRange] = []
        var covered = 0
        // The run in hand; its end is exclusive.
        var first: Offset = 0
        var end: Offset = 0
        var handout: UInt32 = 0
        func close() {
            let count = UInt32(truncatingIfNeeded: end &- first)
            ranges.append(TokenRange(epoch: epoch, first: first, count: count, handout: handout))
        }
        for token in tokens {
            if covered > 0 {
                assert(token.offset &+ 1 >= end, "tokens ascend")
                if token.handout == handout {
                    if token.offset &+ 1 == end {
                        covered += 1
                        continue
                    }
                    if token.offset == end {
                        end &+= 1
                        covered += 1
                        continue
                    }
                }
                close()
                // Two hand-outs of one message never share a request.
                if ranges.count == maximum || token.offset &+ 1 == end { return (ranges, covered) }
            }
            first = token.offset
            end = token.offset &+ 1
            handout = token.handout
            covered += 1
        }
        if covered > 0 { close() }
        return (ranges, covered)
    }
}

extension TokenRange {
    /// Whether a token lies in it, whatever its epoch.
    func contains(_ offset: Offset, handout: UInt32) -> Bool {
        handout == self.handout && offset >= first && offset &- first < UInt64(count)
    }
}
