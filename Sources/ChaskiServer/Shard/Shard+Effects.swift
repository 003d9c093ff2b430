import ChaskiBroker
import ChaskiModel
import ChaskiStorage

extension Shard {
    /// Carries out what the core wants done, in order, until it wants nothing more.
    func carryOutEffects() {
        while !effects.isEmpty {
            swap(&effects, &spareEffects)
            for effect in spareEffects { carryOut(effect) }
            spareEffects.removeAll(keepingCapacity: true)
        }
    }

    private func carryOut(_ effect: Effect) {
        switch effect {
        case .reply(let request, let result):
            if let followUp = followUps.removeValue(forKey: request) {
                follow(followUp, request: request, result)
            } else {
                router.send(
                    .replied(request, result), to: Numbering.connection(of: request.rawValue))
            }
        case .deliver(let consumer, _, let deliveries):
            router.send(
                .deliver(consumer, deliveries), to: Numbering.connection(of: consumer.rawValue))
        case .read(let request):
            reads.waiting.append(request)
        case .released(let topic, let range):
            journal.index.released(topic, range)
        case .topicRemoved(let topic):
            journal.index.topicRemoved(topic)
            commit.wantsMaintenance = true
        case .consumerEnded(let consumer, let failure):
            router.send(.ended(consumer, failure), to: Numbering.connection(of: consumer.rawValue))
        case .stalled(let subscription, let consumers, let failure):
            stalled(subscription, consumers, failure)
        }
    }
}
