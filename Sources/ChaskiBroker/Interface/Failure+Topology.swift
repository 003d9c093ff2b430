package import ChaskiModel

// What is said of topics and subscriptions that are not there: whoever answers a request takes the
// sentence from here. They name the thing; how to find or make one is for the programs to say.
extension Failure {
    /// No topic has this name: `unknown-topic`.
    package static func unknownTopic(_ name: String) -> Failure {
        Failure(.notFound, .unknownTopic, "there is no topic \"\(name)\"")
    }

    /// The topic that had this id was deleted: `unknown-topic`.
    static func unknownTopic(_ id: TopicID) -> Failure {
        Failure(.notFound, .unknownTopic, "there is no topic with id \(id.rawValue) any more")
    }

    /// No subscription has this name: `unknown-subscription`.
    package static func unknownSubscription(_ name: String) -> Failure {
        Failure(.notFound, .unknownSubscription, "there is no subscription \"\(name)\"")
    }

    /// The subscription was deleted under its consumers: `unknown-subscription`.
    static func subscriptionDeleted(_ name: String) -> Failure {
        Failure(.notFound, .unknownSubscription, "the subscription \"\(name)\" was deleted")
    }
}
