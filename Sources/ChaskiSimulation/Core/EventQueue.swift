/// Virtual time: events in the order of their moment, then of their scheduling. A binary heap of
/// slots, so that equal moments keep the order in which they were asked for.
package struct EventQueue<Event> {
    private struct Slot {
        var time: Int64
        var sequence: UInt64
        var event: Event

        @inline(__always)
        func precedes(_ other: Slot) -> Bool {
            time < other.time || (time == other.time && sequence < other.sequence)
        }
    }

    private var heap: [Slot] = []
    private var nextSequence: UInt64 = 0
    /// The moment of the event taken last, nanoseconds since the simulation began.
    package private(set) var now: Int64 = 0

    package init() {}

    package var count: Int { heap.count }
    package var isEmpty: Bool { heap.isEmpty }
    /// The moment of the next event.
    package var nextTime: Int64? { heap.first?.time }

    /// Puts `event` at `time`, or at once when `time` has passed.
    package mutating func schedule(_ event: Event, at time: Int64) {
        heap.append(Slot(time: max(time, now), sequence: nextSequence, event: event))
        nextSequence += 1
        siftUp()
    }

    /// Takes the next event and moves the time to its moment.
    package mutating func next() -> Event? {
        guard let first = heap.first else { return nil }
        precondition(first.time >= now, "time went back")
        now = first.time
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown()
        }
        return first.event
    }

    private mutating func siftUp() {
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].precedes(heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown() {
        var parent = 0
        while true {
            var least = parent
            let left = 2 * parent + 1
            if left < heap.count, heap[left].precedes(heap[least]) { least = left }
            let right = left + 1
            if right < heap.count, heap[right].precedes(heap[least]) { least = right }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
