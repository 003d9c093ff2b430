import ChaskiMessages
import ChaskiModel
import ChaskiWire
import Testing

@Suite struct SettingsMessageTests {
    @Test(arguments: [StartPosition.earliest, .latest, .offset(7)])
    func `Settings come through a message as they were`(_ start: StartPosition) {
        let settings = SubscriptionSettings(
            start: start,
            retry: RetryPolicy(
                minimumBackoffNanos: 1, maximumBackoffNanos: 2, maximumFailures: 3),
            leaseNanos: 4, maximumUnsettled: 5)
        #expect(SubscriptionSettings(Chaski_V1_SubscriptionSettings(settings)) == settings)
    }

    @Test func `A change names only what it is given`() {
        #expect(SubscriptionChange(Chaski_V1_SubscriptionSettings()) == SubscriptionChange())
        var change = SubscriptionChange()
        change.leaseNanos = 9
        let read = SubscriptionChange(Chaski_V1_SubscriptionSettings(change))
        #expect(read == change)
        #expect(read.applied(to: SubscriptionSettings()) == SubscriptionSettings(leaseNanos: 9))
    }

    @Test func `What does not fit is handed on as what is refused`() {
        let message = Chaski_V1_SubscriptionSettings.with { $0.leaseNanos = .max }
        #expect(SubscriptionSettings(message).leaseNanos == .max)
    }
}
