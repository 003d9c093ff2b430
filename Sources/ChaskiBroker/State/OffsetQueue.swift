import ChaskiModel

/// Ascending offsets, first in, first out, in a byte or two each.
struct OffsetQueue {
    /// Distances from one offset to the next, LEB128.
    private var bytes: ContiguousArray<UInt8> = []
    private var head = 0
    /// What was taken out last, and put in last.
    private var before: Offset = 0
    private(set) var last: Offset = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// - Precondition: `offset` is above all that are in it.
    mutating func append(_ offset: Offset) {
        if count == 0 {
            bytes.removeAll(keepingCapacity: bytes.count <= 64)
            head = 0
            before = offset
            last = offset
            bytes.append(0)
            count = 1
            return
        }
        precondition(offset > last, "offsets ascend")
        var rest = offset - last
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
        last = offset
        count += 1
    }

    /// The lowest; nil when empty.
    var first: Offset? {
        guard count > 0 else { return nil }
        var position = head
        return before + distance(&position)
    }

    /// Takes the lowest out.
    mutating func popFirst() -> Offset? {
        guard count > 0 else { return nil }
        var position = head
        before += distance(&position)
        head = position
        count -= 1
        if head > 4_096, head * 2 > bytes.count {
            bytes.removeFirst(head)
            head = 0
        }
        return before
    }

    /// Whether an offset is in it: looks at those before it.
    func contains(_ offset: Offset) -> Bool {
        guard count > 0, offset <= last else { return false }
        var position = head
        var current = before
        while position < bytes.count {
            current += distance(&position)
            if current >= offset { return current == offset }
        }
        return false
    }

    private func distance(_ position: inout Int) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { break }
            shift += 7
        }
        return value
    }

    /// Bytes of memory, about.
    var memoryBytes: Int { bytes.capacity }
}
