import ChaskiModel

/// The names of a journal's files.
package enum JournalName: Hashable, Sendable {
    /// `journal-<16 hex digits>.log`: a file of groups.
    case log(UInt64)
    /// `journal-<16 hex digits>.index`: the sidecar index of a closed file.
    case index(UInt64)
    /// `spare-<16 hex digits>`: space set aside, of no meaning until it is renamed.
    case spare(UInt64)
    /// `newest-<16 hex digits>`: says that this journal file has been begun.
    case newest(UInt64)
    /// `segment-<topic>-<source>-<serial>`, 16 hex digits each: batches of one topic that were
    /// moved out of journal files.
    case segment(SegmentID)
    /// `history-<16 hex digits>`: what became of messages, from journal files that are gone.
    case history(UInt64)
    /// `partial-<16 hex digits>`: a segment in the making; of no meaning.
    case partial(UInt64)
    /// `partial-history-<16 hex digits>`: a history file in the making; of no meaning.
    case partialHistory(UInt64)

    /// The file that a process locks while it uses the directory.
    package static let lock = "LOCK"

    package static func journal(_ id: UInt64) -> String { "journal-\(hex(id)).log" }
    package static func sidecar(_ id: UInt64) -> String { "journal-\(hex(id)).index" }
    package static func spare(named serial: UInt64) -> String { "spare-\(hex(serial))" }
    package static func mark(_ id: UInt64) -> String { "newest-\(hex(id))" }
    package static func segmentFile(_ id: SegmentID) -> String {
        "segment-\(hex(id.topic.rawValue))-\(hex(id.source))-\(hex(id.serial))"
    }
    package static func historyFile(_ serial: UInt64) -> String { "history-\(hex(serial))" }
    package static func partialFile(_ serial: UInt64) -> String { "partial-\(hex(serial))" }
    package static func partialHistoryFile(_ serial: UInt64) -> String {
        "partial-history-\(hex(serial))"
    }

    /// What a directory entry is to the journal; nil for what is none of its own.
    package init?(_ name: String) {
        if let id = Self.number(name, prefix: "journal-", suffix: ".log") {
            self = .log(id)
        } else if let id = Self.number(name, prefix: "journal-", suffix: ".index") {
            self = .index(id)
        } else if let serial = Self.number(name, prefix: "spare-", suffix: "") {
            self = .spare(serial)
        } else if let id = Self.number(name, prefix: "newest-", suffix: "") {
            self = .newest(id)
        } else if let serial = Self.number(name, prefix: "history-", suffix: "") {
            self = .history(serial)
        } else if let serial = Self.number(name, prefix: "partial-", suffix: "") {
            self = .partial(serial)
        } else if let serial = Self.number(name, prefix: "partial-history-", suffix: "") {
            self = .partialHistory(serial)
        } else if let id = Self.segmentID(name) {
            self = .segment(id)
        } else {
            return nil
        }
    }

    private static func segmentID(_ name: String) -> SegmentID? {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "segment",
            let topic = number(String(parts[1]), prefix: "", suffix: ""),
            let source = number(String(parts[2]), prefix: "", suffix: ""),
            let serial = number(String(parts[3]), prefix: "", suffix: "")
        else { return nil }
        return SegmentID(topic: TopicID(rawValue: topic), source: source, serial: serial)
    }

    private static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, 16 - digits.utf8.count)) + digits
    }

    private static func number(_ name: String, prefix: String, suffix: String) -> UInt64? {
        guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
        let digits = name.utf8.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
        guard digits.count == 16, let text = String(digits) else { return nil }
        // Only what we would print ourselves: no sign, no capitals.
        guard let value = UInt64(text, radix: 16), hex(value) == text else { return nil }
        return value
    }
}
