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

    /// The file that a process locks while it uses the directory.
    package static let lock = "LOCK"

    package static func journal(_ id: UInt64) -> String { "journal-\(hex(id)).log" }
    package static func sidecar(_ id: UInt64) -> String { "journal-\(hex(id)).index" }
    package static func spare(named serial: UInt64) -> String { "spare-\(hex(serial))" }
    package static func mark(_ id: UInt64) -> String { "newest-\(hex(id))" }

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
        } else {
            return nil
        }
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
