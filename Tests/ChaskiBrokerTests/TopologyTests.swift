import ChaskiBroker
import ChaskiModel
import Testing

@Suite struct TopologyTests {
    private static let longest = String(repeating: "é", count: 127) + "x"

    @Test(arguments: [
        "", " ", "\t", "\u{3000}", " orders", "orders ", "orders\n", "\u{2028}orders", "or\tders",
        "or\u{85}ders", "or\0ders", longest + "y", String(repeating: "x", count: 255_000),
    ])
    func `A name that is none makes no topic and no subscription`(_ name: String) {
        let host = BrokerHost()
        host.createTopic()
        let topic = host.ask { .createTopic($0, name: name, TopicSettings()) }
        #expect(topic.failure?.code == .invalidArgument)
        #expect(topic.reason == .invalidName)
        #expect(topic.failure?.message.contains("cannot be the name of a topic: it ") == true)
        #expect((topic.failure?.message.utf8.count ?? 0) < 1_000)
        let subscription = host.ask {
            .createSubscription($0, name: name, topic: "t", SubscriptionSettings())
        }
        #expect(subscription.reason == .invalidName)
        #expect(subscription.failure?.message.contains("the name of a subscription") == true)
        #expect(host.machine.topics().map(\.name) == ["t"])
        #expect(host.machine.subscriptions().isEmpty)
    }

    @Test(arguments: ["o", "two words", "größe/1", "a\u{200D}b", longest])
    func `Names at the limit are taken`(_ name: String) {
        let host = BrokerHost()
        let id = host.createTopic(name)
        host.subscribe(name: name, topic: name)
        #expect(host.machine.topic(named: name)?.id == id)
        #expect(host.machine.subscription(named: name)?.topicName == name)
    }

    @Test func `Subscriptions that release nothing are created with one sync`() {
        let host = BrokerHost()
        let topic = host.createTopic()
        host.publish(topic, 0, 3)
        var settings = SubscriptionSettings()
        settings.start = .latest
        // The first gives up what was there: what begins at the earliest message begins after it.
        host.send(.createSubscription(host.request(), name: "first", topic: "t", settings))
        for number in 0..<50 {
            host.send(
                .createSubscription(
                    host.request(), name: "s\(number)", topic: "t", SubscriptionSettings()))
        }
        let groups = host.journal.count
        host.settle()
        #expect(host.journal.count == groups + 2)
        #expect(host.machine.subscriptions().count == 51)
        #expect(host.machine.subscriptions().allSatisfy { $0.backlog == 0 })
        host.crash()
        #expect(host.machine.subscriptions().count == 51)
        #expect(host.machine.checkInvariants() == nil)
    }

    @Test func `Lists go on behind a name, in order, whatever comes and goes`() {
        let host = BrokerHost()
        host.createTopic("a")
        host.createTopic("b")
        var names = (0..<1_500).map { "s\($0 &* 7_919 % 1_500)" }
        for (number, name) in names.enumerated() {
            host.subscribe(name: name, topic: number % 3 == 0 ? "a" : "b")
        }
        for _ in 0..<400 {
            let name = names.removeLast()
            _ = host.ask { .deleteSubscription($0, name: name) }
        }
        for topic in [nil, "a", "b"] {
            var listed: [String] = []
            while case let page = host.machine.subscriptions(
                after: listed.last ?? "", of: topic, limit: 37), !page.isEmpty
            {
                #expect(page.allSatisfy { topic == nil || $0.topicName == topic })
                listed += page.map(\.name)
            }
            let expected = host.machine.subscriptions()
                .filter { topic == nil || $0.topicName == topic }.map(\.name)
            #expect(listed == expected)
        }
        #expect(host.machine.subscriptionCount == 1_100)
        #expect(host.machine.topics(after: "", limit: 1).map(\.name) == ["a"])
        #expect(host.machine.topics(after: "a", limit: 5).map(\.name) == ["b"])
        #expect(host.machine.subscriptions(after: "", of: "c", limit: 5).isEmpty)
    }

    @Test func `A topic that could take no message is refused`() {
        let host = BrokerHost()
        let none = host.ask { .createTopic($0, name: "t", TopicSettings(maximumBytes: 0)) }
        #expect(none.reason == .invalidSetting)
        #expect(none.failure?.message.contains("0 bytes") == true)
        #expect(host.machine.topics().isEmpty)
        host.createTopic("t", TopicSettings(maximumBytes: 1))
        #expect(host.machine.topic(named: "t")?.settings.maximumBytes == 1)
    }

    @Test func `Settings of a subscription are refused one past their bounds`() {
        let host = BrokerHost()
        host.createTopic()
        let year: Int64 = 366 * 86_400 * second
        let week: Int64 = 7 * 86_400 * second
        func settings(_ change: (inout SubscriptionSettings) -> Void) -> SubscriptionSettings {
            var settings = SubscriptionSettings()
            change(&settings)
            return settings
        }
        let refused = [
            settings { $0.retry.minimumBackoffNanos = -1 },
            settings { $0.retry.minimumBackoffNanos = $0.retry.maximumBackoffNanos + 1 },
            settings { $0.retry.maximumBackoffNanos = year + 1 },
            settings { $0.retry.maximumBackoffNanos = .max },
            settings { $0.retry.maximumFailures = 0 },
            settings { $0.leaseNanos = 999_999 },
            settings { $0.leaseNanos = week + 1 },
            settings { $0.maximumUnsettled = 0 },
            settings { $0.maximumUnsettled = 10_000_001 },
            settings { $0.start = .offset(Offset(Int64.max) + 1) },
        ]
        for settings in refused {
            let result = host.ask {
                .createSubscription($0, name: "s", topic: "t", settings)
            }
            #expect(result.reason == .invalidSetting, "\(settings)")
        }
        let widest = settings {
            $0.retry.minimumBackoffNanos = year
            $0.retry.maximumBackoffNanos = year
            $0.leaseNanos = week
            $0.maximumUnsettled = 10_000_000
            $0.start = .offset(Offset(Int64.max))
        }
        host.subscribe(widest)
        #expect(host.machine.subscription(named: "s")?.settings == widest)
    }

    @Test func `What is not there is named`() {
        let host = BrokerHost()
        let topic = host.ask { .deleteTopic($0, name: "a b") }
        #expect(topic.failure == .unknownTopic("a b"))
        #expect(topic.failure?.message == "there is no topic \"a b\"")
        let subscription = host.ask { .deleteSubscription($0, name: "s") }
        #expect(subscription.failure == .unknownSubscription("s"))
        #expect(subscription.failure?.message == "there is no subscription \"s\"")
    }

    @Test func `Consumers learn that their subscription was deleted`() {
        let host = BrokerHost()
        host.createTopic()
        host.subscribe()
        host.open(1)
        host.ask { .deleteSubscription($0, name: "s") }
        #expect(host.ended.map(\.1.reason) == [.unknownSubscription])
        #expect(host.ended.first?.1.message == "the subscription \"s\" was deleted")
    }
}

extension Result<Reply, Failure>? {
    var failure: Failure? {
        if case .failure(let failure)? = self { failure } else { nil }
    }
}
