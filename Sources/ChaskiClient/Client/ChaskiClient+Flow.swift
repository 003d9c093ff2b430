import ChaskiMessages
public import ChaskiModel

extension ChaskiClient {
    /// Stops handing out messages of a subscription, durably. What consumers have stays theirs;
    /// verdicts count, leases go on, retries become due and wait.
    ///
    /// - Parameters:
    ///   - name: the subscription.
    ///   - duration: it resumes by itself after so long, at most 366 days; nil until it is resumed.
    ///     Pausing again replaces what was said before.
    /// - Throws: `ChaskiError`, as `unknown-subscription`, `invalid-setting`.
    @discardableResult
    public func pauseSubscription(
        _ name: String, for duration: Duration? = nil
    ) async throws -> SubscriptionInfo {
        let response: Chaski_V1_PauseSubscriptionResponse = try await call(
            "Subscriptions/Pause",
            Chaski_V1_PauseSubscriptionRequest.with {
                $0.name = name
                if let duration { $0.forNanos = UInt64(clamping: duration.clampedNanos) }
            })
        return SubscriptionInfo(response.subscription)
    }

    /// Ends a pause; does nothing where there is none.
    ///
    /// - Throws: `ChaskiError`, as `unknown-subscription`.
    @discardableResult
    public func resumeSubscription(_ name: String) async throws -> SubscriptionInfo {
        let response: Chaski_V1_ResumeSubscriptionResponse = try await call(
            "Subscriptions/Resume", Chaski_V1_ResumeSubscriptionRequest.with { $0.name = name },
            isRepeatable: true)
        return SubscriptionInfo(response.subscription)
    }

    /// Sets a subscription's breaker open or closed by hand, durably, or back to following the
    /// verdicts. It then begins with an empty window.
    ///
    /// - Throws: `ChaskiError`, as `unknown-subscription`, or `invalid-setting` where it has no
    ///   breaker.
    @discardableResult
    public func setBreaker(
        _ name: String, _ position: BreakerSwitch
    ) async throws -> SubscriptionInfo {
        let response: Chaski_V1_SetBreakerResponse = try await call(
            "Subscriptions/SetBreaker",
            Chaski_V1_SetBreakerRequest.with {
                $0.name = name
                $0.switch = Chaski_V1_BreakerSwitch(position)
            }, isRepeatable: true)
        return SubscriptionInfo(response.subscription)
    }

    /// Why nothing of a subscription, or why one of its messages, is not being delivered.
    ///
    /// - Throws: `ChaskiError`, as `unknown-subscription`.
    public func explain(
        _ subscription: String, offset: Offset? = nil
    ) async throws -> ExplanationInfo {
        let response: Chaski_V1_ExplainResponse = try await call(
            "Subscriptions/Explain",
            Chaski_V1_ExplainRequest.with {
                $0.subscription = subscription
                if let offset { $0.offset = offset }
            }, isRepeatable: true)
        return ExplanationInfo(response)
    }
}
