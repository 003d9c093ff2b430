import ChaskiModel

/// Decides whether blocks are deflated, and does it. Where a sample does not shrink, the next
/// batches are not tried either.
struct BlockCompressor {
    /// One block as it goes into the table.
    struct Block {
        let position: Int
        let inflatedBytes: Int
        let storedBytes: Int
        let codec: BlockCodec
        /// Where a deflated block lies in `scratch`.
        let scratchPosition: Int
    }

    private static let sampleBytes = 4096
    private static let pauseBatches = 16

    private var deflater: Deflater?
    private var scratch: [UInt8] = []
    private var pausedBatches = 0

    /// One block per start; deflated where asked, worth it, and smaller.
    mutating func compress(
        _ payloads: Bytes, blockStarts: [UInt32], compression: BatchCompression
    ) -> [Block] {
        var blocks: [Block] = []
        blocks.reserveCapacity(blockStarts.count)
        let tries = shouldTry(payloads, compression)
        var scratchUsed = 0
        for (number, start) in blockStarts.enumerated() {
            let start = Int(start)
            let end = number + 1 < blockStarts.count ? Int(blockStarts[number + 1]) : payloads.count
            precondition(start < end && end - start <= Limits.blockBytes, "blocks ascend")
            let input = payloads[payloads.startIndex + start..<payloads.startIndex + end]
            if tries, let written = deflate(input, at: scratchUsed) {
                blocks.append(
                    Block(
                        position: start, inflatedBytes: end - start, storedBytes: written,
                        codec: .deflate, scratchPosition: scratchUsed))
                scratchUsed += written
            } else {
                blocks.append(
                    Block(
                        position: start, inflatedBytes: end - start, storedBytes: end - start,
                        codec: .none, scratchPosition: 0))
            }
        }
        return blocks
    }

    /// The stored bytes in order, neighbours that were not deflated joined.
    func runs(of blocks: [Block], payloads: Bytes) -> [Bytes] {
        guard blocks.contains(where: { $0.codec == .deflate }) else { return [payloads] }
        return blocks.map { block in
            switch block.codec {
            case .none:
                let start = payloads.startIndex + block.position
                return payloads[start..<start + block.storedBytes]
            case .deflate:
                return scratch[block.scratchPosition..<block.scratchPosition + block.storedBytes]
            }
        }
    }

    private mutating func shouldTry(_ payloads: Bytes, _ compression: BatchCompression) -> Bool {
        guard case .deflate(let minimum) = compression, payloads.count >= max(minimum, 1) else {
            return false
        }
        if pausedBatches > 0 {
            pausedBatches -= 1
            return false
        }
        let sample = payloads.prefix(Self.sampleBytes)
        // Worth it from an eighth on.
        if deflate(sample, at: 0, maximumBytes: sample.count - sample.count / 8) != nil {
            return true
        }
        pausedBatches = Self.pauseBatches
        return false
    }

    /// Deflates into `scratch`; nil where it would not be smaller.
    private mutating func deflate(
        _ input: Bytes, at position: Int, maximumBytes: Int? = nil
    )
        -> Int?
    {
        let room = min(maximumBytes ?? input.count - 1, input.count - 1)
        guard room > 0 else { return nil }
        let deflater = self.deflater ?? Deflater()
        self.deflater = deflater
        let wanted = position + room
        if scratch.count < wanted {
            let kept = scratch.prefix(position)
            scratch = [UInt8](repeating: 0, count: max(wanted, 2 * scratch.count))
            scratch.replaceSubrange(0..<kept.count, with: kept)
        }
        return scratch.withUnsafeMutableBytes { all in
            input.withUnsafeBytes {
                deflater.deflate(
                    $0, into: UnsafeMutableRawBufferPointer(rebasing: all[position..<wanted]))
            }
        }
    }
}
