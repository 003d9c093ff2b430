/// The broker core of one namespace: topics, producers, subscriptions, leases, verdicts. Pure and
/// deterministic; confined to its shard's event loop.
package final class NamespaceMachine {
    package let configuration: BrokerConfiguration

    package init(configuration: BrokerConfiguration) { self.configuration = configuration }
}
