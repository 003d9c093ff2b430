import ChaskiBroker
import ChaskiModel

/// A request that holds a subscription back, or sets it free.
enum FlowRequest {
    case pause(String, until: Int64)
    case resume(String)
    case setBreaker(String, BreakerSwitch)

    var subscription: String {
        switch self {
        case .pause(let name, _), .resume(let name), .setBreaker(let name, _): name
        }
    }
}

/// Pause, rate limit and breaker hold back what they say, and nothing beyond.
extension Oracle {
    private func subject(_ request: FlowRequest) -> SubscriptionModel? {
        guard case .present(let id)? = subscriptionNames[request.subscription] else { return nil }
        return subscriptions[id]
    }

    func flowReplied(_ request: FlowRequest, _ result: Result<Reply, Failure>) {
        guard case .success = result else {
            if case .failure(let failure) = result, failure.isIndeterminate {
                flowInDoubt(request)
            }
            return
        }
        guard let subscription = subject(request) else { return }
        switch request {
        case .pause(_, let until): subscription.pausedUntil = until
        case .resume: subscription.pausedUntil = .min
        case .setBreaker: break
        }
    }

    /// It may have taken effect, or not.
    func flowInDoubt(_ request: FlowRequest) {
        guard let subscription = subject(request) else { return }
        switch request {
        case .pause, .resume: subscription.pausedUntil = .min
        case .setBreaker: break
        }
    }

    /// Messages of a subscription are handed out at `now`.
    func checkFlow(_ subscription: SubscriptionModel, now: Now) {
        if now.clock < subscription.pausedUntil {
            violated("F6", "\(subscription.name) hands out although it is paused")
        }
    }
}
