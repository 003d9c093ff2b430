import ChaskiModel

/// The attempts and redrives of one message, packed: about 18 bytes for an attempt that says the
/// same as the one before, and 26 plus its text for another.
///
/// Bytes: varint attempts counted, varint redrives counted, zigzag clock of the first failure of its
/// present life (behind flag 1), then each item: a byte (kind; 8: same session as the item before,
/// 16: same text and code, 32: with a delay), varint hand-out, zigzag clock and zigzag difference of
/// wall and broker clock, both as distances from the item before, then what is not the same:
/// u128 session, text code, text reason; zigzag delay.
struct MessageHistory: Hashable {
    /// Items listed at most: the first and the latest.
    static let maximumItems = 32
    static let codeBytes = 64
    /// What is kept of the text of an item that is neither the first nor the last.
    static let oldReasonBytes = 256
    /// Longer than any.
    static let maximumBytes = 16 * 1024

    private static let kindBits: UInt8 = 7
    private static let sameSession: UInt8 = 8
    private static let sameText: UInt8 = 16
    private static let hasDelay: UInt8 = 32

    /// Empty while nothing happened.
    private(set) var bytes: [UInt8] = []

    init() {}

    var isEmpty: Bool { bytes.isEmpty }

    private struct Content {
        var attempts: UInt32 = 0
        var redriven: UInt32 = 0
        var firstFailure: Int64?
        var items: [Attempt] = []
    }

    var attempts: UInt32 { content.attempts }
    var redriven: UInt32 { content.redriven }
    var items: [Attempt] { content.items }
    /// When it failed first since it was published or redriven, broker clock; nil where it did not.
    var firstFailure: Int64? { content.firstFailure }

    var past: MessagePast {
        let content = content
        return MessagePast(
            attempts: content.attempts, redriven: content.redriven, listed: content.items)
    }

    mutating func append(_ item: Attempt) {
        var content = content
        if item.end.isAttempt, content.attempts < .max { content.attempts += 1 }
        switch item.end {
        case .redriven:
            if content.redriven < .max { content.redriven += 1 }
            content.firstFailure = nil
        case .retry, .fail:
            content.firstFailure = content.firstFailure ?? item.endedClockNanos
        case .abandoned, .probe: break
        }
        if content.items.count > 1 {
            let last = content.items.count - 1
            content.items[last].reason = StateEncoding.cut(
                content.items[last].reason, MessageHistory.oldReasonBytes)
        }
        if content.items.count >= MessageHistory.maximumItems { content.items.remove(at: 1) }
        content.items.append(item)
        encode(content)
    }

    // MARK: Coding

    private mutating func encode(_ content: Content) {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count + 64)
        out.append(varint: UInt64(content.attempts))
        out.append(varint: UInt64(content.redriven))
        out.append(content.firstFailure == nil ? 0 : 1)
        if let first = content.firstFailure { out.append(zigzag: first) }
        var before: Attempt?
        for item in content.items {
            let sameSession = item.session == before?.session
            let sameText = item.reason == before?.reason && item.code == before?.code
            out.append(
                item.end.rawValue | (sameSession ? MessageHistory.sameSession : 0)
                    | (sameText ? MessageHistory.sameText : 0)
                    | (item.delayNanos == nil ? 0 : MessageHistory.hasDelay))
            out.append(varint: UInt64(item.handout))
            out.append(zigzag: item.endedClockNanos &- (before?.endedClockNanos ?? 0))
            out.append(zigzag: item.clockDistance &- (before?.clockDistance ?? 0))
            if !sameSession { out.append(littleEndian: item.session.rawValue) }
            if !sameText {
                out.append(text: item.code)
                out.append(text: item.reason)
            }
            if let delay = item.delayNanos { out.append(zigzag: delay) }
            before = item
        }
        bytes = out
        assert(bytes.count <= MessageHistory.maximumBytes, "a history is too long")
    }

    /// Throws `damaged` where the bytes are not a history.
    init(decoding bytes: Bytes) throws(Failure) {
        _ = try MessageHistory.read(bytes)
        self.bytes = Array(bytes)
    }

    private var content: Content {
        do {
            return try MessageHistory.read(bytes[...])
        } catch {
            preconditionFailure("a history is what was written: \(error)")
        }
    }

    private static func read(_ bytes: Bytes) throws(Failure) -> Content {
        var content = Content()
        guard !bytes.isEmpty else { return content }
        var reader = ByteReader(bytes)
        content.attempts = try reader.varint32()
        content.redriven = try reader.varint32()
        if try reader.flag() { content.firstFailure = try reader.zigzag() }
        while !reader.isAtEnd {
            guard content.items.count < maximumItems else {
                throw .corruptEntry("a history has too many items")
            }
            content.items.append(try item(&reader, after: content.items.last))
        }
        return content
    }

    private static func item(
        _ reader: inout ByteReader, after before: Attempt?
    ) throws(Failure) -> Attempt {
        let byte = try reader.byte()
        guard let end = AttemptEnd(rawValue: byte & kindBits),
            byte & ~(kindBits | sameSession | sameText | hasDelay) == 0,
            before != nil || byte & (sameSession | sameText) == 0
        else { throw .corruptEntry("an item of a history is not known") }
        var item = Attempt(
            end: end, handout: try reader.varint32(),
            session: before?.session ?? SessionID(rawValue: 0), endedClockNanos: 0,
            endedWallNanos: 0, reason: before?.reason ?? "", code: before?.code ?? "",
            delayNanos: nil)
        item.endedClockNanos = try reader.zigzag() &+ (before?.endedClockNanos ?? 0)
        item.endedWallNanos =
            item.endedClockNanos &+ (try reader.zigzag() &+ (before?.clockDistance ?? 0))
        if byte & sameSession == 0 { item.session = SessionID(rawValue: try reader.fixed()) }
        if byte & sameText == 0 {
            item.code = try reader.text(limit: codeBytes)
            item.reason = try reader.text(limit: StateEncoding.reasonBytes)
        }
        if byte & hasDelay != 0 { item.delayNanos = try reader.zigzag() }
        return item
    }
}

extension Attempt {
    /// How far the wall clock is ahead of the broker clock.
    fileprivate var clockDistance: Int64 { endedWallNanos &- endedClockNanos }
}

/// The history of a message that is not settled.
struct HistoryRecord: OffsetKeyed {
    let offset: Offset
    var history: MessageHistory
}
