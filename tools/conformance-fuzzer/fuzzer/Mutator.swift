/// Numbers from a seed: xorshift.
struct Numbers {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        for _ in 0..<8 { _ = next() }
    }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    mutating func below(_ bound: Int) -> Int { Int(next() >> 1) % max(bound, 1) }
}

/// Makes new inputs of recorded ones.
struct Mutator {
    let corpus: [(kind: UInt8, bytes: [UInt8])]
    var numbers: Numbers

    static let largest = 64 << 10
    private static let telling: [UInt8] = [
        0, 1, 2, 0x0A, 0x0B, 0x0C, 0x12, 0x7F, 0x80, 0xFF, 0xFE, 0xC0, 0xED,
    ]

    mutating func input() -> (kind: UInt8, bytes: [UInt8]) {
        var (kind, bytes) = corpus[numbers.below(corpus.count)]
        for _ in 0..<(1 + numbers.below(6)) { mutate(&bytes) }
        switch numbers.below(40) {
        case 0, 1:
            // Within the recursive field, some levels down.
            for _ in 0..<(1 + numbers.below(120)) { bytes = nested(bytes) }
        case 2:
            // Often, so that memory runs out.
            let copies = Self.largest / max(bytes.count, 1)
            bytes = (0..<numbers.below(copies + 1)).reduce(into: []) { all, _ in all += bytes }
        default: break
        }
        if bytes.count > Self.largest { bytes.removeLast(bytes.count - Self.largest) }
        return (kind, bytes)
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        let at = numbers.below(bytes.count)
        switch numbers.below(9) {
        case 0 where !bytes.isEmpty: bytes[at] = UInt8(truncatingIfNeeded: numbers.next())
        case 1 where !bytes.isEmpty: bytes[at] ^= 1 << UInt8(numbers.below(8))
        case 2 where !bytes.isEmpty: bytes.remove(at: at)
        case 3: bytes.insert(Self.telling[numbers.below(Self.telling.count)], at: at)
        case 4: bytes += corpus[numbers.below(corpus.count)].bytes
        case 5 where !bytes.isEmpty:
            let end = min(bytes.count, at + numbers.below(200))
            bytes.insert(contentsOf: bytes[at..<end], at: at)
        case 6 where !bytes.isEmpty: bytes.removeLast(numbers.below(bytes.count))
        case 7 where !bytes.isEmpty:
            // A length or number close to a limit.
            bytes[at] = 0xFF
            for _ in 0..<numbers.below(10) { bytes.insert(0xFF, at: at) }
        default:
            let other = corpus[numbers.below(corpus.count)].bytes
            let end = min(other.count, numbers.below(64))
            bytes.insert(contentsOf: other[..<end], at: at)
        }
    }

    /// In the field that holds the same type again: `recursive_message`, field 27.
    private func nested(_ bytes: [UInt8]) -> [UInt8] {
        var length: [UInt8] = []
        var rest = bytes.count
        while rest >= 0x80 {
            length.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return [0xDA, 0x01] + length + [UInt8(rest)] + bytes
    }
}
