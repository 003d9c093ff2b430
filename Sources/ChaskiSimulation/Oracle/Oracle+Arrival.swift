import ChaskiBroker
import ChaskiModel
import ChaskiRecords

/// P1 at the far end of the wire: what a consumer takes out of a delivery is what was published.
extension Oracle {
    func arrived(_ view: RecordBatchView, _ runs: [DeliveryRun], of id: SubscriptionID) {
        guard let subscription = subscriptions[id] else {
            return violated("wire", "a delivery of subscription \(id.rawValue), which never was")
        }
        let topic = subscription.topic
        var place = 0
        var payloads = view.payloads()
        for run in runs {
            for step in 0..<UInt64(run.count) {
                let offset = run.first + step
                guard offset < topic.end else {
                    return violated("P2", "\(topic.name)@\(offset) arrived before it was on disk")
                }
                let (publication, index) = topic.log[Int(offset)]
                while place < view.count,
                    view.baseOffset + UInt64(view.header(at: place).index) < offset
                {
                    place += 1
                }
                let name = "\(topic.name)@\(offset)"
                guard place < view.count,
                    view.baseOffset + UInt64(view.header(at: place).index) == offset
                else { return violated("A8", "\(name) is named by a delivery that lacks it") }
                do throws(Failure) {
                    let arrived = try view.record(at: place, payloads: &payloads)
                    let sent = try published(Int(publication), index)
                    if arrived.message != sent {
                        violated("P1", "\(name) arrived otherwise than it was published")
                    }
                } catch {
                    violated("P1", "\(name) cannot be read: \(error.message)")
                }
            }
        }
    }

    /// A message as its producer made it.
    func published(_ publication: Int, _ index: UInt32) throws(Failure) -> Message {
        if let (number, messages) = lastPublished, number == publication {
            return messages[Int(index)]
        }
        let view = try RecordBatchView(trusted: publications[publication].bytes)
        var payloads = view.payloads()
        var messages: [Message] = []
        for place in 0..<view.count {
            messages.append(try view.record(at: place, payloads: &payloads).message)
        }
        lastPublished = (publication, messages)
        return messages[Int(index)]
    }
}
