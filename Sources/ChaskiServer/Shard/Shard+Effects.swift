import ChaskiBroker
import ChaskiModel
import ChaskiStorage
import ChaskiStreams

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
        let isForConnections = service.carryOut(effect)
        switch effect {
        case .reply, .deliver, .consumerEnded:
            assert(isForConnections, "the service knows all of these")
        case .read(let request):
            reads.waiting.append(request)
        case .released(let topic, let range):
            journal.index.released(topic, range)
        case .topicRemoved(let topic):
            journal.index.topicRemoved(topic)
            commit.wantsMaintenance = true
        case .stalled(let subscription, _, let failure):
            stalled(subscription, failure)
        case .deathsHeld(let subscription, let failure):
            deathsHeld(subscription, failure)
        }
    }
}
