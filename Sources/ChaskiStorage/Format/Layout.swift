/// Constants of the file format; JournalFormat.md explains them.
package enum Layout {
    /// Groups begin at multiples of this, so that a torn write never touches an earlier group.
    package static let block = 4096
    /// The format that this code writes, and the newest that it reads.
    package static let version: UInt16 = 1
    /// File ids and group numbers in a file lie below this, so that counting on cannot overflow.
    static let countBound: UInt64 = 1 << 62
    /// Bytes of one row of a group's entry table.
    static let entryRow = 32
    /// Bytes of a group's header, the entry table excluded.
    static let groupHeader = 128

    /// `count` rounded up to whole blocks; nil where that does not fit an `Int`.
    static func padded(_ count: Int) -> Int? {
        let (sum, overflow) = count.addingReportingOverflow(block - 1)
        guard !overflow, sum >= 0 else { return nil }
        return sum / block * block
    }
}
