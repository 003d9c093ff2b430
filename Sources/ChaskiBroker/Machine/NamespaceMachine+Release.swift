package import ChaskiModel
import DequeModule

extension NamespaceMachine {
    /// Tells storage what the events since the last call have freed.
    func releaseTouched(_ effects: inout [Effect]) {
        guard !work.touched.isEmpty else { return }
        let touched = work.touched
        work.touched.removeAll(keepingCapacity: true)
        for subscription in touched
        where directory.subscriptions[subscription.id] === subscription {
            let topic = subscription.topic
            for number in subscription.window.takeCleaned()
            where topic.subscriptions.allSatisfy({ $0.isReleasable(chunk: number) }) {
                let first = number << Window.chunkBits
                release(first..<first + UInt64(Window.chunkSlots), of: topic, &effects)
            }
            releaseFront(of: topic, &effects)
        }
    }

    /// The settled part of the chunk in which the slowest subscription stands.
    func releaseFront(of topic: TopicState, _ effects: inout [Effect]) {
        guard let lowest = topic.lowestUnsettled else { return }
        let first = lowest & ~(UInt64(Window.chunkSlots) - 1)
        guard first < lowest,
            !topic.subscriptions.contains(where: { $0.pins(first..<lowest) })
        else { return }
        release(first..<lowest, of: topic, &effects)
    }

    /// Adds to what is released of a topic.
    func release(_ range: Range<Offset>, of topic: TopicState, _ effects: inout [Effect]) {
        let lower = min(range.lowerBound, topic.nextOffset)
        let clipped = lower..<min(range.upperBound, topic.nextOffset)
        guard !clipped.isEmpty else { return }
        topic.releasedEnd = max(topic.releasedEnd, clipped.upperBound)
        var parts: [Range<Offset>] = []
        topic.released.insert(clipped) { parts.append($0) }
        for part in parts {
            topic.marks.release(part)
            effects.append(.released(topic.id, part))
        }
    }

    /// Everything of a topic that its subscriptions do not need; after a restart, or when one of
    /// them was deleted. Without subscriptions a topic keeps everything.
    func releaseAll(of topic: TopicState, _ effects: inout [Effect]) {
        guard let lowest = topic.lowestUnsettled else { return }
        let size = UInt64(Window.chunkSlots)
        // Below the slowest only dead letters pin, and what was dead, a chunk each.
        var position: Offset = 0
        while position < min(lowest, topic.nextOffset) {
            let pinned = topic.subscriptions.compactMap { $0.nextPin(from: position) }.min()
            let stop = min(lowest, pinned.map { $0 & ~(size - 1) } ?? lowest)
            if position < stop { release(position..<stop, of: topic, &effects) }
            guard let pinned, pinned < lowest else { break }
            position = (pinned & ~(size - 1)) + size
        }
        let end = topic.subscriptions.map(\.window.end).max() ?? lowest
        var number = lowest >> Window.chunkBits
        while number << Window.chunkBits < min(end, topic.nextOffset) {
            if topic.subscriptions.allSatisfy({ $0.isReleasable(chunk: number) }) {
                let first = number << Window.chunkBits
                release(first..<first + size, of: topic, &effects)
            }
            number += 1
        }
    }

    /// Everything that no subscription needs any more, by topic, ascending; to tell storage after
    /// recovery.
    package func releasedRanges() -> [(topic: TopicID, ranges: [Range<Offset>])] {
        directory.topicsByID.map { ($0.id, $0.released.ranges) }
    }

    /// Chunks that have little left shrink, once there are more of them than are kept for repeated
    /// acks.
    func shrinkCooled() {
        for subscription in work.touched {
            for number in subscription.window.takeCooled() {
                work.cooling.append(CoolingChunk(subscription: subscription.id, number: number))
            }
        }
        while work.cooling.count > configuration.repeatChunks {
            guard let oldest = work.cooling.popFirst() else { break }
            directory.subscriptions[oldest.subscription]?.window.shrink(oldest.number)
        }
    }
}
