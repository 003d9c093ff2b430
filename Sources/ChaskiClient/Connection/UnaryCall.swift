import ChaskiModel
import ChaskiWire
import NIOCore

/// One request and its answer over a link. Confined to the link's event loop.
final class UnaryCall: StreamOwner {
    let method: String
    private let request: [UInt8]
    private let attachment: Bytes
    /// Whether asking twice does no harm: then a lost connection is no failure.
    private let isRepeatable: Bool
    private let deadlineNanos: Int64
    private var answer: ((Result<Bytes, Failure>) -> Void)?
    private weak var link: Link?
    private var stream: StreamID?
    private var response: Bytes?

    /// `answer` is called once.
    init(
        method: String, request: [UInt8], attachment: Bytes, isRepeatable: Bool,
        deadlineNanos: Int64,
        answer: @escaping (Result<Bytes, Failure>) -> Void
    ) {
        self.method = method
        self.request = request
        self.attachment = attachment
        self.isRepeatable = isRepeatable
        self.deadlineNanos = deadlineNanos
        self.answer = answer
    }

    /// Begins, or waits for a connection.
    func start(on link: Link) {
        self.link = link
        link.add(self)
    }

    /// The caller no longer waits.
    func cancel() {
        finish(
            .failure(Failure(.cancelled, .indeterminate, "the call of \(method) was cancelled")))
    }

    func linkEstablished(_ link: Link) {
        guard answer != nil, stream == nil else { return }
        let left = max(1, deadlineNanos - Link.nowNanos())
        switch link.openStream(method, for: self, timeoutNanos: left) {
        case .success(let stream):
            self.stream = stream
            let failure = link.send(
                on: stream, protobuf: request, attachment: attachment, end: true,
                class: attachment.isEmpty ? .control : .batch)
            if let failure { finish(.failure(failure)) }
        case .failure(let failure):
            // A broker that takes no more calls will be replaced; anything else is an answer.
            if failure.reason != .draining { finish(.failure(failure)) }
        }
    }

    func linkLost(_ failure: Failure, now: Int64) {
        guard stream != nil else { return }
        stream = nil
        response = nil
        if !isRepeatable { finish(.failure(failure.asIndeterminate())) }
    }

    func received(_ message: InboundMessage, now: Int64) {
        response = message.protobuf
    }

    func streamEnded(_ failure: Failure?, now: Int64) {
        stream = nil
        if let failure {
            finish(.failure(failure))
        } else if let response {
            finish(.success(response))
        } else {
            finish(
                .failure(
                    Failure(.internalError, .protocolError, "\(method) was answered by nothing")))
        }
    }

    func turnEnded(now: Int64) {}

    func ticked(now: Int64) {
        guard deadlineNanos <= now else {
            if stream == nil, let link, link.isEstablished { linkEstablished(link) }
            return
        }
        let wasSent = stream != nil && !isRepeatable
        let failure = Failure(
            .deadlineExceeded, .timedOut, "\(method) was not answered in time")
        finish(.failure(wasSent ? failure.asIndeterminate() : failure))
    }

    func linkClosed(_ failure: Failure) { finish(.failure(failure)) }

    private func finish(_ result: Result<Bytes, Failure>) {
        guard let answer else { return }
        self.answer = nil
        if let link {
            if let stream {
                link.reset(stream, Failure(.cancelled, .closed, "the caller no longer waits"))
            }
            link.remove(self)
        }
        stream = nil
        answer(result)
    }
}
