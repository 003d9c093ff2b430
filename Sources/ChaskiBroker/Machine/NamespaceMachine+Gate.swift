import ChaskiModel

extension SubscriptionState {
    /// Whether anything may hold back the whole subscription. False is the common case.
    @inline(__always)
    var isGated: Bool {
        flow.pause != nil || settings.rateLimit != nil || settings.breaker != nil
    }

    /// How its breaker was set by hand; without a breaker that means nothing.
    var breakerSwitch: BreakerSwitch { settings.breaker == nil ? .auto : flow.breakerSwitch }

    /// Whether something could be handed out, were there a consumer with room.
    var hasDeliverable: Bool {
        counts.returned > 0 || !wanted.isEmpty || topic.nextOffset > position
    }

    /// The rate limit wakes delivery for so many messages at once, so that a high rate costs at
    /// most a hundred timers a second.
    func messagesPerWake(_ rate: UInt32) -> UInt64 { UInt64(max(1, rate / 100)) }
}

// The gate before all hand-outs of a subscription: pause, breaker, rate limit. It costs one check
// per round of serving where none of them is set, and a sum per run of messages where one is.
extension NamespaceMachine {
    /// Decides how many messages this round of serving may hand out (`flow.allowance`).
    func openGate(_ subscription: SubscriptionState, _ now: Now) {
        guard subscription.isGated else {
            subscription.flow.allow(.max, isShut: false, spendsTokens: false)
            return
        }
        var allowance = UInt64.max
        if let pause = subscription.flow.pause, pause.isInForce(now.clock) {
            allowance = 0
            if let until = pause.until { setGateTimer(subscription, at: until) }
        }
        allowance = min(allowance, breakerAllowance(subscription, now))
        let isShut = allowance == 0
        let rate = subscription.settings.rateLimit
        if let rate {
            subscription.flow.bucket.fill(rate, now.clock)
            allowance = min(allowance, subscription.flow.bucket.messages)
        }
        subscription.flow.allow(allowance, isShut: isShut, spendsTokens: rate != nil)
    }

    private func breakerAllowance(_ subscription: SubscriptionState, _ now: Now) -> UInt64 {
        guard subscription.settings.breaker != nil else { return .max }
        switch subscription.flow.breakerSwitch {
        case .open: return 0
        case .closed: return .max
        case .auto: break
        }
        switch subscription.flow.breaker.state {
        case .closed: return .max
        case .open(_, let until):
            guard until <= now.clock else {
                setGateTimer(subscription, at: until)
                return 0
            }
            subscription.flow.breaker.halfOpen(now.clock)
            return 1
        case .halfOpen: return subscription.flow.breaker.probe == nil ? 1 : 0
        }
    }

    /// Ends a round: where the rate limit was what ended it, delivery goes on when there is more.
    func closeGate(_ subscription: SubscriptionState, _ now: Now) {
        guard let rate = subscription.settings.rateLimit,
            subscription.flow.bucket.messages == 0, subscription.hasDeliverable
        else { return }
        let messages = subscription.messagesPerWake(rate)
        let at = subscription.flow.bucket.time(of: messages, rate, now.clock)
        setGateTimer(subscription, at: at)
    }

    /// Looks again at the subscription at that time.
    private func setGateTimer(_ subscription: SubscriptionState, at: Int64) {
        if let set = subscription.flow.timer, set <= at { return }
        subscription.flow.timer = at
        timers.heap.push(Timer(at: at, kind: .gate, subscription: subscription.id.rawValue))
    }

    func gateTimerFired(_ subscription: SubscriptionState, _ at: Int64) {
        guard subscription.flow.timer == at else { return }
        subscription.flow.timer = nil
        markDirty(subscription)
    }

    /// The breaker takes in the verdicts of an entry.
    func judgeBreaker(_ subscription: SubscriptionState, _ time: Now) {
        guard isRunning, let policy = subscription.settings.breaker,
            subscription.flow.breakerSwitch == .auto
        else { return }
        subscription.flow.breaker.judge(policy, time.clock)
    }

    /// The probe of a half-open breaker, where a verdict names it: such a failure spends no
    /// attempt.
    func probe(_ subscription: SubscriptionState, in ranges: [EntryRange]) -> EntryRange? {
        guard subscription.settings.breaker != nil, subscription.flow.breakerSwitch == .auto,
            case .halfOpen = subscription.flow.breaker.state,
            let offset = subscription.flow.breaker.probe
        else { return nil }
        for range in ranges where range.first <= offset && offset < range.end {
            return EntryRange(first: offset, count: 1, handout: range.handout)
        }
        return nil
    }
}

extension [EntryRange] {
    /// Without one offset that one of them holds.
    func removing(_ offset: Offset) -> [EntryRange] {
        var rest: [EntryRange] = []
        for range in self {
            guard range.first <= offset, offset < range.end else {
                rest.append(range)
                continue
            }
            let before = UInt32(offset - range.first)
            let after = UInt32(range.end - offset - 1)
            if before > 0 {
                rest.append(EntryRange(first: range.first, count: before, handout: range.handout))
            }
            if after > 0 {
                rest.append(EntryRange(first: offset + 1, count: after, handout: range.handout))
            }
        }
        return rest
    }
}
