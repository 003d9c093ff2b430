import ChaskiBroker
import ChaskiModel

/// The reference model and its checkers: fed with every command that the broker takes, every
/// effect that it emits, and every write that the journal made; knows nothing of how the broker
/// works. It keeps maps and arrays, and no cleverness.
package final class Oracle {
    /// What the broker was asked and has not answered.
    enum Pending {
        case createTopic(name: String)
        case deleteTopic(name: String)
        case createSubscription(name: String, topic: String, SubscriptionSettings, low: Offset)
        case updateSubscription(String)
        /// A redrive or a purge; nil for one of a subscription that is not known.
        case letters(LetterModel.Taking?)
        /// An edited message, by its payload; nil likewise.
        case edit([UInt8]?)
        case fetch
        case deleteSubscription(name: String)
        case publish(publication: Int, sinceWrite: Int)
        /// The write after which it was taken; -1 for one that was stored before and is remembered.
        case atomic(number: Int, [PendingSettle], sinceWrite: Int)
        case openProducer(producer: Int, topic: TopicID, epoch: UInt32)
        case skip(producer: Int, topic: TopicID, next: UInt64)
        case openConsumer(ConsumerID, claims: [TokenRange], valid: [Offset])
        case settle(PendingSettle)
        case close(ConsumerID)
        /// A pause, a resume, a breaker set by hand.
        case flow(FlowRequest)
    }

    /// A verdict under way, with what the model expected of each offset when it was taken.
    struct PendingSettle {
        enum Expectation: UInt8 { case accept, reject, either }
        var command: SettleCommand
        var taken: Int64
        /// How long the consumer's leases last, and a breaker that opens stays open.
        var leaseNanos: Int64 = 0
        var openNanos: Int64 = 0
        var expectations: [Expectation]
    }

    /// What is known of a name.
    enum Presence<ID> {
        case absent
        case present(ID)
        /// A change of it was under way when the broker died.
        case unknown
    }

    private(set) var violations: [Violation] = []
    /// Virtual time, for messages.
    var time: Int64 = 0
    var publications: [Publication] = []
    var atomics = AtomicModel()
    var letters = LetterModel()
    /// One subscription is settled by requests that publish what was made of it.
    var transforms = false
    /// By the checksum of all behind the broker header; unique by construction.
    var publicationOfChecksum: [UInt32: Int] = [:]
    var topics: [TopicID: TopicModel] = [:]
    var subscriptions: [SubscriptionID: SubscriptionModel] = [:]
    var topicNames: [String: Presence<TopicID>] = [:]
    var subscriptionNames: [String: Presence<SubscriptionID>] = [:]
    /// Changes of a name under way.
    var namesUnderWay: [String: Int] = [:]
    /// In the order of their making, so that walks over them do not depend on hashes.
    var topicOrder: [TopicModel] = []
    var subscriptionOrder: [SubscriptionModel] = []
    /// In the order of their opening, and their places by the id that the host chose.
    var consumers: [ConsumerModel] = []
    var consumerNumbers: [ConsumerID: Int] = [:]
    var pending: [RequestID: Pending] = [:]
    /// Writes that returned, over the life of the directory.
    var writes = 0
    /// The group whose write was begun and has not returned.
    var groupInDoubt: JournalGroup?
    /// Batches of it that the recovery under way has met.
    var recoveredFromDoubt = 0
    /// Sequences given up by a request that was under way when the broker died.
    var skipsInDoubt: [(producer: Int, topic: TopicID, next: UInt64)] = []
    /// Where subscriptions begin whose making was under way when the broker died.
    var creationLow: [String: Offset] = [:]
    /// The epoch of tokens now.
    var epoch: UInt32 = 0
    let resumeGraceNanos: Int64
    /// Asks the host which messages died without a client's doing.
    var learnDeaths: () -> Void = {}
    /// Asks the host where a message stands that may have left the dead letters.
    var letterStanding: (String, Offset) -> LetterStanding = { _, _ in .dead }
    /// Asks the host where the broker says that a message stands; nil without its subscription.
    var stateOf: (SubscriptionModel, Offset) -> MessageState? = { _, _ in nil }
    /// The broker clock in the group whose write returned last.
    var lastGroupClock: Int64 = 0
    var jitter = JitterModel()
    /// Told of features whose effect only the model sees.
    var tookEffect: (Feature) -> Void = { _ in }
    /// The messages of the publication that was looked at last.
    var lastPublished: (publication: Int, messages: [Message])?

    init(resumeGraceNanos: Int64) { self.resumeGraceNanos = resumeGraceNanos }

    func violated(_ check: String, _ message: @autoclosure () -> String) {
        guard violations.count < 10 else { return }
        violations.append(Violation(check: check, message: message(), time: time))
    }

    // MARK: - Commands

    /// The broker takes `command` at `now`.
    func taken(_ command: Command, producer: Int?, publication: Int?, now: Now) {
        switch command {
        case .createTopic(let id, let name, _):
            begin(id, .createTopic(name: name))
            change(of: topicKey(name), by: 1)
        case .deleteTopic(let id, let name):
            begin(id, .deleteTopic(name: name))
            change(of: topicKey(name), by: 1)
        case .createSubscription(let id, let name, let topic, let settings):
            begin(
                id,
                .createSubscription(
                    name: name, topic: topic, settings, low: startLow(topic, settings)))
            change(of: subscriptionKey(name), by: 1)
        case .updateSubscription(let id, let name, let change): takenUpdate(id, name, change)
        case .redrive(let id, let name, let ranges, let note):
            beginTaking(id, name, ranges, .redrive(note: note))
        case .purge(let id, let name, let ranges): beginTaking(id, name, ranges, .purge)
        case .redriveEdited(let id, let edited): beginEditing(id, edited)
        case .fetch(let id, _, _): begin(id, .fetch)
        case .deleteSubscription(let id, let name):
            begin(id, .deleteSubscription(name: name))
            change(of: subscriptionKey(name), by: 1)
        case .pauseSubscription(let id, let name, let forNanos):
            begin(id, .flow(.pause(name, until: forNanos.map { now.clock + $0 } ?? .max)))
        case .resumeSubscription(let id, let name): begin(id, .flow(.resume(name)))
        case .setBreaker(let id, let name, let position):
            breakerMayChange(name)
            begin(id, .flow(.setBreaker(name, position)))
        case .publish(let id, _):
            guard let publication else { preconditionFailure("a publish without content") }
            publications[publication].outstanding += 1
            begin(id, .publish(publication: publication, sinceWrite: writes))
        case .atomic(let id, let command):
            takenAtomic(id, command, now: now)
        case .openProducer(let id, let topic, _, let epoch):
            begin(id, .openProducer(producer: producer ?? 0, topic: topic, epoch: epoch))
        case .skipSequences(let id, let topic, _, _, let next):
            begin(id, .skip(producer: producer ?? 0, topic: topic, next: next))
        case .openConsumer(let id, let consumer, let session, let name, let limit, let claims):
            takenOpen(id, consumer, session, name, limit, claims, now: now)
        case .setLimit(let consumer, let limit):
            consumers[number(of: consumer)].limit = limit
        case .settle(let id, let settle):
            takenSettle(id, settle, now: now)
        case .heartbeat(let session):
            for index in consumers.indices
            where consumers[index].session == session && consumers[index].open {
                beat(index, now: now)
            }
        case .closeConsumer(let id, let consumer):
            begin(id, .close(consumer))
            consumers[number(of: consumer)].open = false
            leaseEnds(of: Int32(number(of: consumer)), at: now.clock)
        case .disconnected(let consumer):
            disconnected(consumer, now: now)
        }
    }

    /// The place of a consumer that the broker was told of.
    func number(of consumer: ConsumerID) -> Int {
        guard let number = consumerNumbers[consumer] else {
            preconditionFailure("a consumer that was never opened")
        }
        return number
    }

    func begin(_ id: RequestID, _ request: Pending) {
        precondition(pending[id] == nil, "request ids are not reused")
        pending[id] = request
    }

    // MARK: - Effects

    /// The broker emits `effect` at `now`.
    func emitted(_ effect: Effect, now: Now) {
        switch effect {
        case .reply(let id, let result):
            replied(id, result, now: now)
        case .deliver(let consumer, let subscription, let deliveries):
            delivered(consumer, subscription, deliveries, now: now)
        case .read, .stalled, .deathsHeld: break
        case .released(let topic, let range): released(topic, range)
        case .topicRemoved(let id):
            guard let topic = topics[id] else {
                return violated("R1", "topic \(id.rawValue) removed, which never was")
            }
            topic.removed = true
        case .consumerEnded(let consumer, _):
            consumerEnded(consumer, now: now)
        }
    }

    private func replied(_ id: RequestID, _ result: Result<Reply, Failure>, now: Now) {
        guard let request = pending.removeValue(forKey: id) else {
            return violated(
                "one reply", "request \(id.rawValue) was answered twice, or never asked")
        }
        switch request {
        case .publish(let publication, let sinceWrite):
            publishReplied(publication, since: sinceWrite, result)
        case .atomic(let number, let settles, let sinceWrite):
            atomicReplied(number, settles, since: sinceWrite, result, now: now)
        case .settle(let settle):
            settleReplied(settle, result, now: now)
        case .openConsumer(let consumer, let claims, let valid):
            openReplied(consumer, claims, valid, result, now: now)
        case .openProducer(let producer, let topic, let epoch):
            producerReplied(producer, topic, epoch, result)
        case .skip(let producer, let topic, let next):
            if case .failure(let failure) = result, failure.isIndeterminate {
                skipsInDoubt.append((producer, topic, next))
            }
            guard case .success = result, let model = topics[topic] else { return }
            model.nextSequence[producer] = max(model.nextSequence[producer] ?? 0, next)
        case .close(let consumer):
            if case .success = result { consumerEnded(consumer, now: now) }
        case .flow(let request): flowReplied(request, result)
        case .letters(let taking): takingReplied(taking, result, now: now)
        case .edit(let payload): editReplied(payload, result, now: now)
        case .updateSubscription(let name): updateReplied(id, name, result, now: now)
        case .fetch: break
        case .createTopic, .deleteTopic, .createSubscription, .deleteSubscription:
            topologyReplied(request, result)
        }
    }
}
