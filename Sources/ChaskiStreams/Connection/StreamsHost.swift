package import ChaskiModel
package import ChaskiRecords
package import ChaskiWire

/// Who has a connection's machine and its lines to the shards: the server's event loop, or the
/// simulator. Called on the connection's loop only.
package protocol StreamsHost: AnyObject {
    // MARK: Towards the client

    /// Queues one message; one that cannot be queued is dropped, and where that ends the
    /// connection the machine has an event of its own.
    func send(
        _ protobuf: [UInt8], _ attachment: Bytes, on stream: StreamID, class: TrafficClass,
        end: Bool)
    /// Gives window bytes back for a message that was dealt with.
    func consumed(_ stream: StreamID, bytes: Int)
    /// Ends a stream from this side once what was queued is sent; nil is OK.
    func close(_ stream: StreamID, _ failure: Failure?)
    /// The work on a stream that the peer ended is over: its slot is free.
    func release(_ stream: StreamID)
    /// What the peer takes.
    var peerLimits: PeerLimits { get }
    /// Bytes that wait to be sent.
    var queuedBytes: Int { get }
    /// Calls `deadlinePassed` of the streams after `nanos`.
    func scheduleDeadline(of stream: StreamID, nanos: Int64)

    // MARK: Towards the shards

    /// The index of the line to a namespace, the same each time.
    ///
    /// - Throws: `unknown-namespace`, or why it could not be opened.
    func line(to namespace: String) throws(Failure) -> Int
    func send(_ request: ShardRequest, over line: Int)
    /// The end of a run of requests.
    func flushLines()
    /// Answers `Broker/Status`, which is no namespace's, by `answered` of the stream.
    func answerStatus(_ stream: UnaryStream)

    // MARK: For the log and the counters

    func batchReceived(messages: Int)
    func delivered(messages: Int)
    /// A stored batch could not be put into a message.
    func batchNotDelivered(_ batch: StoredBatch, _ failure: Failure)
}

/// What a connection's streams keep to.
package struct StreamSettings: Hashable, Sendable {
    /// Outbound bytes beyond which consumers are handed nothing new, and below which they are
    /// again.
    package var pauseBytes: Int
    package var resumeBytes: Int
    /// Bytes of deliveries put into one message.
    package var deliverBytes: Int
    /// What a publisher may send.
    package var recordLimits: RecordBatchLimits

    package init(
        pauseBytes: Int, resumeBytes: Int, deliverBytes: Int, recordLimits: RecordBatchLimits
    ) {
        precondition(resumeBytes <= pauseBytes, "what pauses must be able to go on")
        self.pauseBytes = pauseBytes
        self.resumeBytes = resumeBytes
        self.deliverBytes = deliverBytes
        self.recordLimits = recordLimits
    }
}
