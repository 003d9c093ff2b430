/// A member of a published batch that is a message stored before, by its dedup id.
package struct DuplicateMember: Hashable, Sendable {
    /// Its place in the batch, from 0.
    package var index: UInt32
    /// Where the message with its dedup id is.
    package var offset: Offset

    package init(index: UInt32, offset: Offset) {
        self.index = index
        self.offset = offset
    }
}

extension [DuplicateMember] {
    /// The offset of the member at `index` of a batch whose members that are no duplicates begin at
    /// `baseOffset`, and whether it is one of these here.
    ///
    /// - Precondition: ascending by index.
    package func offset(
        ofMember index: UInt32, baseOffset: Offset
    ) -> (offset: Offset, isDuplicate: Bool) {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if self[middle].index < index { low = middle + 1 } else { high = middle }
        }
        if low < count, self[low].index == index { return (self[low].offset, true) }
        return (baseOffset &+ Offset(index) &- Offset(low), false)
    }
}
