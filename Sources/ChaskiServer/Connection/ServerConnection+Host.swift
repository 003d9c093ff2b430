import ChaskiBroker
import ChaskiModel
import ChaskiStreams
import ChaskiTransport
import ChaskiWire
import Logging
import NIOCore

/// What the streams of a connection need of its socket and of the shards.
extension ServerConnection: StreamsHost {
    func send(
        _ protobuf: [UInt8], _ attachment: Bytes, on id: StreamID, class trafficClass: TrafficClass,
        end: Bool
    ) {
        do throws(Failure) {
            try connection?.machine.send(
                on: id, protobuf: protobuf, attachment: attachment, end: end, class: trafficClass,
                now: Connection.nowNanos())
        } catch {
            broker.logger.debug(
                "a message was not sent", metadata: ["reason": "\(error.reason.rawValue)"])
        }
    }

    func consumed(_ id: StreamID, bytes: Int) { connection?.machine.consumed(id, bytes: bytes) }

    func close(_ id: StreamID, _ failure: Failure?) {
        connection?.machine.close(id, failure, now: Connection.nowNanos())
    }

    func release(_ id: StreamID) { connection?.machine.release(id) }

    var peerLimits: PeerLimits { connection?.machine.peerLimits ?? PeerLimits() }

    var queuedBytes: Int { connection?.machine.queuedBytes ?? 0 }

    func scheduleDeadline(of id: StreamID, nanos: Int64) {
        loop.assumeIsolatedUnsafeUnchecked().scheduleTask(in: .nanoseconds(nanos)) { [weak self] in
            guard let self else { return }
            self.streams.deadlinePassed(of: id)
            self.endTurn()
        }
    }

    func line(to namespace: String) throws(Failure) -> Int {
        let link = ShardLink(shard: try broker.shards.find(namespace), connection: port)
        link.send(.attach)
        links.append(link)
        return links.count - 1
    }

    func send(_ request: ShardRequest, over line: Int) {
        guard !isEnded else { return }
        links[line].send(request)
    }

    func flushLines() {
        for link in links { link.flush() }
    }

    func batchReceived(messages: Int) { broker.metrics.batchReceived(messages: messages) }

    func delivered(messages: Int) { broker.metrics.delivered(messages: messages) }

    func batchNotDelivered(_ batch: StoredBatch, _ failure: Failure) {
        broker.logger.error(
            "a batch cannot be delivered",
            metadata: [
                "topic": "\(batch.topic.rawValue)", "offset": "\(batch.baseOffset)",
                "detail": "\(failure.message)",
            ])
    }
}
