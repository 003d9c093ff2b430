import ChaskiModel
import DequeModule

/// Messages that were settled by death and are to be delivered again: their chunk of the window may
/// be long gone, so each has a slot of its own, 48 bytes.
final class RevivedSlots {
    private struct Item: OffsetKeyed {
        let offset: Offset
        let slot: UnsafeMutablePointer<Slot>
    }

    /// Settled ones that are kept so that a repeated ack is known.
    static let keptSettled = 1_024

    private var items = PagedStore<Item>()
    private var settled: Deque<Offset> = []
    /// Those that are not settled.
    private(set) var open = 0
    /// None is at this offset or above.
    private(set) var end: Offset = 0

    deinit { items.forEach { $0.slot.deallocate() } }

    func slot(_ offset: Offset) -> UnsafeMutablePointer<Slot>? { items[offset]?.slot }

    /// Adds a message, or makes a settled one open again.
    func revive(_ offset: Offset, _ slot: Slot) {
        precondition(!slot.isSettled, "it is to be open")
        if let known = items[offset] {
            if known.slot.pointee.isSettled { open += 1 }
            known.slot.pointee = slot
            return
        }
        let place = UnsafeMutablePointer<Slot>.allocate(capacity: 1)
        place.initialize(to: slot)
        items.insert(Item(offset: offset, slot: place))
        open += 1
        end = max(end, offset + 1)
    }

    /// One of them, if it is one, was just settled.
    func noteSettled(_ offset: Offset) -> Bool {
        guard let item = items[offset] else { return false }
        precondition(open > 0, "the open ones are miscounted")
        open -= 1
        // What the window says of a dead one is right; an ack must be found here.
        if item.slot.pointee.state == .dead {
            remove(offset)
        } else {
            settled.append(offset)
            if settled.count > RevivedSlots.keptSettled, let oldest = settled.popFirst(),
                items[oldest]?.slot.pointee.isSettled == true
            {
                remove(oldest)
            }
        }
        return true
    }

    /// The first open one at `offset` or later.
    func nextOpen(from offset: Offset) -> Offset? {
        guard open > 0, offset < end else { return nil }
        var position = offset
        while let item = items.first(from: position) {
            if !item.slot.pointee.isSettled { return item.offset }
            position = item.offset + 1
        }
        return nil
    }

    /// Takes an open one away, as if it had never been.
    func drop(_ offset: Offset) -> Slot? {
        guard let item = items[offset], !item.slot.pointee.isSettled else { return nil }
        let slot = item.slot.pointee
        open -= 1
        remove(offset)
        return slot
    }

    private func remove(_ offset: Offset) {
        items.remove(offset)?.slot.deallocate()
        end = items.last.map { $0.offset + 1 } ?? 0
    }

    var memoryBytes: Int { items.count * 48 }
}
