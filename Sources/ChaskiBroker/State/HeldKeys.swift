import ChaskiModel

/// Keys that dead messages hold, each as often as there are such messages.
final class HeldKeys {
    private(set) var byOffset: [Offset: UInt64] = [:]
    private let counts = IntegerTable<UInt32>()

    var isEmpty: Bool { byOffset.isEmpty }

    @inline(__always)
    func contains(_ key: UInt64) -> Bool { counts[key] != nil }

    func insert(_ offset: Offset, _ key: UInt64) {
        remove(offset)
        byOffset[offset] = key
        counts.insert((counts[key] ?? 0) + 1, for: key)
    }

    /// The key that the message held; nil where it held none.
    @discardableResult
    func remove(_ offset: Offset) -> UInt64? {
        guard let key = byOffset.removeValue(forKey: offset) else { return nil }
        let count = counts[key] ?? 0
        precondition(count > 0, "held keys are miscounted")
        if count > 1 { counts.insert(count - 1, for: key) } else { counts.remove(key) }
        return key
    }

    /// At most `limit` from an offset on, ascending.
    func list(from offset: Offset, limit: Int) -> [NamedKey] {
        byOffset.lazy.filter { $0.key >= offset }.map { NamedKey(offset: $0.key, key: $0.value) }
            .sorted { $0.offset < $1.offset }.prefix(limit).map { $0 }
    }
}
