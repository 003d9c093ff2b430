package import ChaskiModel

/// A place in the journal: a file and a byte in it. Files follow one another by ascending id.
package struct JournalPosition: Hashable, Comparable, Sendable {
    /// 0 stands for "no file"; real ids begin at 1.
    package var file: UInt64
    package var position: UInt64

    package init(file: UInt64, position: UInt64) {
        self.file = file
        self.position = position
    }

    package static let none = Self(file: 0, position: 0)

    package static func < (a: Self, b: Self) -> Bool {
        (a.file, a.position) < (b.file, b.position)
    }
}

extension JournalPosition: CustomStringConvertible {
    package var description: String { "\(JournalName.journal(file)):\(position)" }
}

/// Where the body of a stored batch lies, and what it must look like.
package struct BatchLocation: Hashable, Sendable {
    package var topic: TopicID
    package var baseOffset: Offset
    /// Offsets that it occupies, at least 1.
    package var count: UInt32
    /// Bytes of the body.
    package var length: UInt32
    /// Position of the body in its file.
    package var position: UInt64
    /// CRC-32C of the body.
    package var checksum: UInt32

    package init(
        topic: TopicID, baseOffset: Offset, count: UInt32, length: UInt32, position: UInt64,
        checksum: UInt32
    ) {
        self.topic = topic
        self.baseOffset = baseOffset
        self.count = count
        self.length = length
        self.position = position
        self.checksum = checksum
    }

    /// The offset after its last; saturates, as offsets read from a file may be anything.
    package var endOffset: Offset {
        let (end, overflow) = baseOffset.addingReportingOverflow(Offset(count))
        return overflow ? Offset.max : end
    }
}
