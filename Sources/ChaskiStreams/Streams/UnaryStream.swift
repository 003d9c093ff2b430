import ChaskiBroker
import ChaskiMessages
package import ChaskiModel
import ChaskiProtobuf
import ChaskiWire

/// A call of a method with one request and one answer.
package final class UnaryStream {
    private let id: StreamID
    private let method: Method
    /// The line to the namespace; nil for a method about the broker.
    private let link: Int?
    private unowned let owner: ConnectionStreams
    private var isStarted = false
    /// Whether an answer is on its way.
    private(set) var isBusy = false

    init(_ id: StreamID, _ method: Method, link: Int?, _ owner: ConnectionStreams) {
        self.id = id
        self.method = method
        self.link = link
        self.owner = owner
    }

    func receive(_ message: InboundMessage) throws(Failure) {
        guard !isStarted else { throw .protocolError("\(method.rawValue) takes one message.") }
        isStarted = true
        if method == .publishAtomically, let link {
            let command = try AtomicCommand(message, limits: owner.settings.recordLimits)
            let messages = command.publishes.reduce(0) { $0 + Int($1.count) }
            if messages > 0 { owner.host.batchReceived(messages: messages) }
            isBusy = true
            owner.send(.command(.atomic(owner.expect(.atomic(self)), command)), over: link)
        } else if let link,
            let request = try AdminRequest(
                method, message.protobuf, attachment: message.attachment,
                limits: owner.settings.recordLimits)
        {
            isBusy = true
            owner.send(.admin(owner.expect(.unary(self)), request), over: link)
        } else {
            isBusy = true
            owner.host.answerStatus(self)
        }
        owner.consumed(id, message.windowBytes)
    }

    /// The client sends no more; without a request there is nothing to answer.
    func ended() {
        if !isStarted {
            owner.end(id, .protocolError("\(method.rawValue) needs a request message."))
        }
    }

    /// The core answered an atomic request.
    func replied(_ result: Result<Reply, Failure>) {
        do throws(Failure) {
            guard case .atomic(let published, let isRepeat) = try result.get() else {
                throw .unexpectedReply
            }
            answered(.success(try Chaski_V1_AtomicResponse(published, isRepeat: isRepeat).bytes()))
        } catch {
            answered(.failure(error))
        }
    }

    /// The answer is there, or why there is none.
    package func answered(_ result: Result<[UInt8], Failure>) {
        isBusy = false
        switch result {
        case .success(let bytes): owner.finish(id, bytes)
        case .failure(let failure):
            owner.end(id, failure)
        }
        owner.release(id)
    }
}
