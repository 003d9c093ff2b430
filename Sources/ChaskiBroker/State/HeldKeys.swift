import ChaskiModel

/// Keys that dead messages hold, each as often as there are such messages.
final class HeldKeys {
    private(set) var byOffset: [Offset: UInt64] = [:]
    private var counts: [UInt64: UInt32] = [:]
    /// The number of keys: a plain value, since most subscriptions hold none and each message asks.
    private var keyCount = 0

    var isEmpty: Bool { byOffset.isEmpty }

    @inline(__always)
    func contains(_ key: UInt64) -> Bool { keyCount > 0 && counts[key] != nil }

    func insert(_ offset: Offset, _ key: UInt64) {
        remove(offset)
        byOffset[offset] = key
        counts[key, default: 0] += 1
        keyCount = counts.count
    }

    /// The key that the message held; nil where it held none.
    @discardableResult
    func remove(_ offset: Offset) -> UInt64? {
        guard let key = byOffset.removeValue(forKey: offset) else { return nil }
        let count = counts[key] ?? 0
        precondition(count > 0, "held keys are miscounted")
        counts[key] = count > 1 ? count - 1 : nil
        keyCount = counts.count
        return key
    }

    /// At most `limit` from an offset on, ascending.
    func list(from offset: Offset, limit: Int) -> [NamedKey] {
        byOffset.lazy.filter { $0.key >= offset }.map { NamedKey(offset: $0.key, key: $0.value) }
            .sorted { $0.offset < $1.offset }.prefix(limit).map { $0 }
    }
}
