/// Builds wire bytes by hand.
enum Wire {
    static func varint(_ value: UInt64) -> [UInt8] {
        var rest = value
        var bytes: [UInt8] = []
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(truncatingIfNeeded: rest)]
    }

    static func tag(_ number: UInt64, _ type: UInt64) -> [UInt8] { varint(number << 3 | type) }

    static func number(_ field: UInt64, _ value: UInt64) -> [UInt8] {
        tag(field, 0) + varint(value)
    }

    static func bytes(_ field: UInt64, _ content: [UInt8]) -> [UInt8] {
        tag(field, 2) + varint(UInt64(content.count)) + content
    }

    static func text(_ field: UInt64, _ content: String) -> [UInt8] {
        bytes(field, Array(content.utf8))
    }

    static func group(_ field: UInt64, _ content: [UInt8]) -> [UInt8] {
        tag(field, 3) + content + tag(field, 4)
    }

    /// `pattern`, `count` times.
    static func repeated(_ pattern: [UInt8], _ count: Int) -> [UInt8] {
        // Doubling, which is quick in debug builds too.
        var result = pattern
        while result.count < count * pattern.count { result += result }
        result.removeLast(result.count - count * pattern.count)
        return result
    }

    /// A message within a message within ..., `depth` times, each in `field`.
    static func nested(_ field: UInt64, depth: Int) -> [UInt8] {
        // Built from the inside out, back to front, so that it is linear.
        var reversed: [UInt8] = []
        for _ in 0..<depth {
            let head = tag(field, 2) + varint(UInt64(reversed.count))
            reversed += head.reversed()
        }
        return reversed.reversed()
    }
}
