package import ChaskiMessages
package import ChaskiModel
package import ChaskiRecords

/// A unary request to a namespace, decoded.
package enum AdminRequest: Sendable {
    case createTopic(Chaski_V1_CreateTopicRequest)
    case describeTopic(Chaski_V1_DescribeTopicRequest)
    case listTopics(Chaski_V1_ListTopicsRequest)
    case deleteTopic(Chaski_V1_DeleteTopicRequest)
    case createSubscription(Chaski_V1_CreateSubscriptionRequest)
    case describeSubscription(Chaski_V1_DescribeSubscriptionRequest)
    case listSubscriptions(Chaski_V1_ListSubscriptionsRequest)
    case updateSubscription(Chaski_V1_UpdateSubscriptionRequest)
    case pauseSubscription(Chaski_V1_PauseSubscriptionRequest)
    case resumeSubscription(Chaski_V1_ResumeSubscriptionRequest)
    case setBreaker(Chaski_V1_SetBreakerRequest)
    case explain(Chaski_V1_ExplainRequest)
    case deleteSubscription(Chaski_V1_DeleteSubscriptionRequest)
    case showDeadLetter(Chaski_V1_ShowDeadLetterRequest)
    case redriveDeadLetters(Chaski_V1_RedriveDeadLettersRequest)
    /// With the edited message, as a batch.
    case redriveEdited(Chaski_V1_RedriveEditedRequest, Bytes)
    case purgeDeadLetters(Chaski_V1_PurgeDeadLettersRequest)
    case listDeadLetters(Chaski_V1_ListDeadLettersRequest)
}

/// The methods that a broker has.
package enum Method: String, CaseIterable {
    case createTopic = "chaski.v1.Topics/Create"
    case describeTopic = "chaski.v1.Topics/Describe"
    case listTopics = "chaski.v1.Topics/List"
    case deleteTopic = "chaski.v1.Topics/Delete"
    case createSubscription = "chaski.v1.Subscriptions/Create"
    case describeSubscription = "chaski.v1.Subscriptions/Describe"
    case listSubscriptions = "chaski.v1.Subscriptions/List"
    case updateSubscription = "chaski.v1.Subscriptions/Update"
    case pauseSubscription = "chaski.v1.Subscriptions/Pause"
    case resumeSubscription = "chaski.v1.Subscriptions/Resume"
    case setBreaker = "chaski.v1.Subscriptions/SetBreaker"
    case explain = "chaski.v1.Subscriptions/Explain"
    case deleteSubscription = "chaski.v1.Subscriptions/Delete"
    case showDeadLetter = "chaski.v1.Subscriptions/ShowDeadLetter"
    case redriveDeadLetters = "chaski.v1.Subscriptions/RedriveDeadLetters"
    case redriveEdited = "chaski.v1.Subscriptions/RedriveEdited"
    case purgeDeadLetters = "chaski.v1.Subscriptions/PurgeDeadLetters"
    case listDeadLetters = "chaski.v1.Subscriptions/ListDeadLetters"
    case status = "chaski.v1.Broker/Status"
    case publish = "chaski.v1.Publisher/Publish"
    case publishAtomically = "chaski.v1.Publisher/PublishAtomically"
    case consume = "chaski.v1.Consumer/Consume"
}

extension AdminRequest {
    /// Decodes the request of a unary `method`; nil for the methods that are none, or not a
    /// namespace's.
    ///
    /// - Throws: `protocol-error` for bytes that are no such message; what a batch that should be
    ///   attached is refused with.
    package init?(
        _ method: Method, _ bytes: Bytes, attachment: Bytes, limits: RecordBatchLimits
    ) throws(Failure) {
        switch method {
        case .createTopic: self = .createTopic(try .init(control: bytes))
        case .describeTopic: self = .describeTopic(try .init(control: bytes))
        case .listTopics: self = .listTopics(try .init(control: bytes))
        case .deleteTopic: self = .deleteTopic(try .init(control: bytes))
        case .createSubscription: self = .createSubscription(try .init(control: bytes))
        case .describeSubscription:
            self = .describeSubscription(try .init(control: bytes))
        case .listSubscriptions: self = .listSubscriptions(try .init(control: bytes))
        case .updateSubscription: self = .updateSubscription(try .init(control: bytes))
        case .pauseSubscription: self = .pauseSubscription(try .init(control: bytes))
        case .resumeSubscription: self = .resumeSubscription(try .init(control: bytes))
        case .setBreaker: self = .setBreaker(try .init(control: bytes))
        case .explain: self = .explain(try .init(control: bytes))
        case .deleteSubscription: self = .deleteSubscription(try .init(control: bytes))
        case .showDeadLetter: self = .showDeadLetter(try .init(control: bytes))
        case .redriveDeadLetters: self = .redriveDeadLetters(try .init(control: bytes))
        case .redriveEdited:
            _ = try RecordBatchView(validating: attachment, limits: limits, origin: .published)
            self = .redriveEdited(try .init(control: bytes), attachment)
        case .purgeDeadLetters: self = .purgeDeadLetters(try .init(control: bytes))
        case .listDeadLetters: self = .listDeadLetters(try .init(control: bytes))
        case .status, .publish, .publishAtomically, .consume: return nil
        }
    }
}

extension Failure {
    /// The peer sent bytes that are not the message that belongs there.
    static func malformed(_ what: String, _ error: any Error) -> Failure {
        Failure(
            .invalidArgument, .protocolError, "The message of \(what) cannot be decoded: \(error)")
    }

    /// The peer broke the rules of a method.
    static func protocolError(_ message: String) -> Failure {
        Failure(.invalidArgument, .protocolError, message)
    }
}
