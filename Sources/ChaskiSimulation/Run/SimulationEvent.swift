import ChaskiBroker
import ChaskiModel
import ChaskiStorage

/// What a client sends.
enum Request {
    /// Asks for a topic by name and says that the producer is here.
    case bind(topic: String, producer: Int, epoch: UInt32)
    case publish(publication: Int)
    case skip(topic: TopicID, producer: Int, epoch: UInt32, next: UInt64)
    case open(session: SessionID, subscription: String, ConsumerLimit, claims: SessionClaims)
    case setLimit(ConsumerID, ConsumerLimit)
    case settle(SettleCommand)
    case heartbeat(SessionID)
    case close(ConsumerID)
    case createTopic(String)
    case deleteTopic(String)
    case createSubscription(String, topic: String, SubscriptionSettings)
    case deleteSubscription(String)
}

/// What a client receives.
enum Response {
    case reply(tag: UInt64, Result<Reply, Failure>)
    case bound(tag: UInt64, TopicID?, Result<Reply, Failure>)
    case opened(tag: UInt64, ConsumerID, Result<Reply, Failure>)
    case delivery(ConsumerID, [Delivery])
    case ended(ConsumerID, Failure)
}

/// What happens at a moment of virtual time. `life` names the broker process that it is for: one
/// that died meanwhile gets nothing.
enum SimulationEvent {
    case requestArrives(connection: Int, tag: UInt64, Request)
    case responseArrives(connection: Int, Response)
    /// The client notices that its connection is gone.
    case connectionLost(connection: Int)
    /// The broker notices it.
    case connectionGone(connection: Int)
    case clientWakes(client: Int, generation: Int)
    case timerFires(life: Int)
    /// The journal thread writes and syncs the group that it was given.
    case groupWritten(life: Int)
    case groupAnswered(life: Int, CommitOutcome)
    case maintenanceDue(life: Int)
    case maintenanceDone(life: Int, MaintenanceReport)
    case readExecuted(life: Int, ReadID, LoadPlan)
    case readAnswered(life: Int, ReadID, ReadOutcome)
    case faultStrikes
    case faultEnds(Fault)
    case brokerDies(life: Int, power: Bool)
    case brokerStarts
}

/// A party of the simulation outside the broker.
protocol SimulatedClient: AnyObject {
    func woken()
    func received(_ response: Response)
    func connectionLost()
    /// Faults have stopped: finish what was begun and begin nothing new.
    func drain()
    /// Whether it waits for nothing any more.
    var isDone: Bool { get }
    /// For a report of a run that does not end.
    var state: String { get }
}
