import ChaskiBroker
import ChaskiMessages
import ChaskiModel
import ChaskiStreams

/// What the oracle needs to know of dead letters: clients do not see every death.
extension BrokerHost {
    /// Compares the dead letters of a subscription with the model.
    func compareLetters(_ subscription: SubscriptionModel) {
        guard let machine, !subscription.removed,
            let listed = machine.deadLetters(
                subscription: subscription.name, from: 0, limit: 1_000_000)
        else { return }
        oracle.compareLetters(subscription, listed) {
            machine.past(of: $0, subscription: subscription.name)
        }
    }

    /// Tells the model which messages are to die abandoned, once they can be forwarded: by the
    /// settings of now.
    func learnDying(_ subscription: SubscriptionModel, _ machine: NamespaceMachine) {
        guard machine.subscription(named: subscription.name)?.dying ?? 0 > 0 else { return }
        for index in subscription.window where subscription.messages[index].state == .leased {
            guard
                case .dying(.abandoned, _)? = machine.messageState(
                    subscription: subscription.name, offset: Offset(index))
            else { continue }
            // The group that it dies with is that one, or a later one.
            oracle.learnAbandoned(subscription, Offset(index), at: oracle.lastGroupClock)
        }
    }

    func compareLetters(named name: String) {
        guard case .present(let id)? = oracle.subscriptionNames[name],
            let subscription = oracle.subscriptions[id]
        else { return }
        compareLetters(subscription)
    }

    /// A request is about to be taken.
    func expectAnswer(_ id: RequestID, _ admin: AdminRequest) {
        guard let machine else { return }
        switch admin {
        case .listDeadLetters(let message):
            compareLetters(named: message.subscription)
            oracle.listAsked(id, message, all(message.subscription))
        case .showDeadLetter(let message):
            compareLetters(named: message.subscription)
            oracle.showAsked(
                id, message, all(message.subscription),
                machine.past(of: message.offset, subscription: message.subscription))
        default: break
        }
    }

    private func all(_ name: String) -> [DeadLetter] {
        machine?.deadLetters(subscription: name, from: 0, limit: 1_000_000) ?? []
    }

    func standing(_ name: String, _ offset: Offset) -> LetterStanding {
        switch machine?.messageState(subscription: name, offset: offset) {
        case .dead?: .dead
        case .dying?: .dying
        case .acked?, .beforeStart?, nil: .gone
        default: .open
        }
    }

    /// At rest: the counters are those of all that was taken out.
    func checkLetterCounts() {
        for info in machine?.subscriptions() ?? [] {
            guard let kept = oracle.letters.kept[info.id] else { continue }
            if info.forwarded != kept.forwarded {
                oracle.violated(
                    "A9",
                    "\(info.name) counts \(info.forwarded) copies; \(kept.forwarded) are stored")
            }
            let removed = info.purged + info.expired
            if info.redriven != kept.redriven || removed != kept.gone {
                oracle.violated(
                    "A9",
                    "\(info.name) counts \(info.redriven) redriven and "
                        + "\(removed) removed; \(kept.redriven) and \(kept.gone) were")
            }
        }
    }
}
