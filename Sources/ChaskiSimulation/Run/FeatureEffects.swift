import ChaskiBroker
import ChaskiModel

/// Which features took effect with the good end of a command. A feature whose effect is no
/// command's (a lapse, a breaker that opens) says so itself: `simulation.hit(.lapse)`.
enum FeatureEffects {
    static func features(of command: Command, _ reply: Reply) -> [Feature] {
        switch (command, reply) {
        case (.settle(_, let settle), .settled(let accepted, let rejected)):
            var features: [Feature] = rejected.isEmpty ? [] : [.staleVerbs]
            guard accepted > 0 else { return features }
            switch settle.verb {
            case .ack: break
            case .retry: features += settle.delayNanos == nil ? [.retry] : [.retry, .retryDelay]
            case .fail: features.append(.fail)
            case .release: features.append(.release)
            case .extend: features.append(.extend)
            }
            return features
        case (.openConsumer(_, _, _, _, _, let claims), .consumerOpened(_, _, _, let held)):
            return claims.ranges.isEmpty || held.isEmpty ? [] : [.claims]
        case (.skipSequences, _): return [.skippedSequences]
        case (.publish, .published(_, _, _, let duplicates)):
            return duplicates.isEmpty ? [] : [.dedup]
        case (.atomic(_, let atomic), .atomic(let published, _)):
            var features: [Feature] = atomic.publishes.count > 1 ? [.atomicPublish] : []
            if !atomic.settlements.isEmpty { features.append(.atomicSettle) }
            if published.contains(where: { !$0.duplicates.isEmpty }) { features.append(.dedup) }
            return features
        case (.redrive, .lettersTaken(let count, _)): return count > 0 ? [.redrive] : []
        case (.purge, .lettersTaken(let count, _)): return count > 0 ? [.purge] : []
        case (.redriveEdited, .redrivenEdited): return [.editedRedrive]
        case (.pauseSubscription, _), (.resumeSubscription, _): return [.pause]
        case (.setBreaker, _): return [.breaker]
        default: return []
        }
    }

    /// The request that a command's reply names; nil for a command without one.
    static func request(of command: Command) -> RequestID? {
        switch command {
        case .createTopic(let id, _, _), .deleteTopic(let id, _),
            .createSubscription(let id, _, _, _), .updateSubscription(let id, _, _),
            .deleteSubscription(let id, _), .pauseSubscription(let id, _, _),
            .resumeSubscription(let id, _), .setBreaker(let id, _, _), .publish(let id, _),
            .atomic(let id, _), .openProducer(let id, _, _, _),
            .skipSequences(let id, _, _, _, _), .openConsumer(let id, _, _, _, _, _),
            .settle(let id, _), .closeConsumer(let id, _), .redrive(let id, _, _, _),
            .purge(let id, _, _), .fetch(let id, _, _), .redriveEdited(let id, _):
            return id
        case .setLimit, .heartbeat, .disconnected: return nil
        }
    }
}
