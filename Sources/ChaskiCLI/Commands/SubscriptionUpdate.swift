import ArgumentParser
import ChaskiClient
import ChaskiModel

struct SubscriptionUpdate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change settings of a subscription.",
        discussion: """
            Only what is given changes; the numbers in parentheses are what a new subscription \
            begins with. The new settings count for what is decided from then on: messages that \
            wait for a retry keep their time, and a shorter lease holds for consumers that \
            subscribe from then on. Where a subscription begins, and its topic, cannot change.
            """)

    @Argument(help: "Name of the subscription.")
    var name: String

    @OptionGroup(title: "Settings") var settings: SubscriptionSettingOptions

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if settings.change == SubscriptionChange() {
            throw ValidationError(
                "Nothing to change: give at least one setting, as --max-failures 5.")
        }
    }

    func run() async throws {
        try await connection.withClient { client, kind in
            let subscription = try await client.updateSubscription(name, settings.change)
            kind.print(subscription.fields(kind), json: subscription.json)
        }
    }
}
