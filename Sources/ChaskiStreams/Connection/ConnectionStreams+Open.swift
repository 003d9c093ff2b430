import ChaskiModel
import ChaskiWire

extension ConnectionStreams {
    /// A client called a method.
    func open(_ id: StreamID, _ open: OpenRequest) {
        do throws(Failure) {
            streams[id] = try stream(id, open)
            if let nanos = open.timeoutNanos { host.scheduleDeadline(of: id, nanos: nanos) }
        } catch {
            host.close(id, error)
        }
    }

    private func stream(_ id: StreamID, _ open: OpenRequest) throws(Failure) -> ServerStream {
        guard let method = Method(rawValue: open.method) else {
            throw Failure(
                .unimplemented, .unknownMethod,
                "This broker has no method \"\(open.method.prefix(200))\".")
        }
        switch method {
        case .status:
            return .unary(UnaryStream(id, method, link: nil, self))
        case .publish:
            return .publish(PublishStream(id, link: try link(to: open.namespace), self))
        case .consume:
            return .consume(ConsumeStream(id, link: try link(to: open.namespace), self))
        case .createTopic, .describeTopic, .listTopics, .deleteTopic, .createSubscription,
            .describeSubscription, .listSubscriptions, .updateSubscription, .pauseSubscription,
            .resumeSubscription, .setBreaker, .explain, .deleteSubscription,
            .listDeadLetters, .showDeadLetter, .redriveDeadLetters, .redriveEdited,
            .purgeDeadLetters, .publishAtomically:
            return .unary(UnaryStream(id, method, link: try link(to: open.namespace), self))
        }
    }
}

extension FailureReason {
    /// The time that a caller gave for a call is over.
    static let deadlineExceeded = Self(rawValue: "deadline-exceeded")
}
