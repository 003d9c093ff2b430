import ChaskiModel

/// SipHash-2-4 with 128 bits of output (Aumasson, Bernstein: SipHash: a fast short-input PRF, 2012;
/// the 128-bit variant of the authors' reference code): short texts to numbers that nobody finds
/// two texts for. The same on every machine and in every version, for it is in the journal.
enum SipHash128 {
    /// The hash of `bytes` under a fixed key.
    static func hash(_ bytes: Bytes) -> DedupKey {
        hash(bytes, key: (0x0706_0504_0302_0100, 0x0F0E_0D0C_0B0A_0908))
    }

    private static func hash(_ bytes: Bytes, key: (UInt64, UInt64)) -> DedupKey {
        var state = State(key)
        let whole = bytes.count & ~7
        bytes.withSpan { span in
            var position = 0
            while position < whole {
                state.compress(span.littleEndian(at: position) ?? 0)
                position += 8
            }
            var last = UInt64(truncatingIfNeeded: bytes.count) << 56
            for place in whole..<bytes.count {
                let byte = span.littleEndian(UInt8.self, at: place) ?? 0
                last |= UInt64(byte) << UInt64(8 * (place - whole))
            }
            state.compress(last)
        }
        return state.finish()
    }

    private struct State {
        var v0: UInt64
        var v1: UInt64
        var v2: UInt64
        var v3: UInt64

        init(_ key: (UInt64, UInt64)) {
            v0 = 0x736F_6D65_7073_6575 ^ key.0
            v1 = 0x646F_7261_6E64_6F6D ^ key.1 ^ 0xEE
            v2 = 0x6C79_6765_6E65_7261 ^ key.0
            v3 = 0x7465_6462_7974_6573 ^ key.1
        }

        @inline(__always)
        mutating func round() {
            v0 &+= v1
            v1 = (v1 << 13 | v1 >> 51) ^ v0
            v0 = v0 << 32 | v0 >> 32
            v2 &+= v3
            v3 = (v3 << 16 | v3 >> 48) ^ v2
            v0 &+= v3
            v3 = (v3 << 21 | v3 >> 43) ^ v0
            v2 &+= v1
            v1 = (v1 << 17 | v1 >> 47) ^ v2
            v2 = v2 << 32 | v2 >> 32
        }

        @inline(__always)
        mutating func compress(_ word: UInt64) {
            v3 ^= word
            round()
            round()
            v0 ^= word
        }

        mutating func finish() -> DedupKey {
            v2 ^= 0xEE
            for _ in 0..<4 { round() }
            let low = v0 ^ v1 ^ v2 ^ v3
            v1 ^= 0xDD
            for _ in 0..<4 { round() }
            return DedupKey(high: v0 ^ v1 ^ v2 ^ v3, low: low)
        }
    }
}
