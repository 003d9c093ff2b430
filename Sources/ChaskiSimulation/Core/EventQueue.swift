/// Virtual time: events in the order of their moment, then of their scheduling. A binary heap of
/// slots, so that equal moments keep the order in which they were asked for.
package struct EventQueue<Event> {
    private struct Slot {
        var time: Int64
        var sequence: UInt64
        /// Where the event waits.
        var place: Int

        @inline(__always)
        func precedes(_ other: Slot) -> Bool {
            time < other.time || (time == other.time && sequence < other.sequence)
        }
    }

    private var heap: [Slot] = []
    /// Events stay where they are put while small slots move.
    private var events: [Event?] = []
    private var free: [Int] = []
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
        let place: Int
        if let last = free.popLast() {
            place = last
            events[place] = event
        } else {
            place = events.count
            events.append(event)
        }
        heap.append(Slot(time: max(time, now), sequence: nextSequence, place: place))
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
        defer { events[first.place] = nil }
        free.append(first.place)
        return events[first.place]
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
