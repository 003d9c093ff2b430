import ChaskiWire

/// The two ends of a connection over the real wire, and what lies between them.
final class WireConnection {
    let number: Int
    let client: WireClient
    let broker: WireBroker
    var toBroker: BytePipe
    var toClient: BytePipe
    /// When each end's timer fires.
    var clientTimer = Int64.max
    var brokerTimer = Int64.max

    init(number: Int, client: WireClient, broker: WireBroker, capacity: Int) {
        self.number = number
        self.client = client
        self.broker = broker
        toBroker = BytePipe(capacity: capacity)
        toClient = BytePipe(capacity: capacity)
    }
}

/// What a seed decides about its wire.
struct WireSettings {
    /// What each side states as its limits.
    var limits: PeerLimits
    /// Bytes that the kernels hold of each direction.
    var capacity: Int
    var keepaliveNanos: Int64
    /// Outbound bytes of a connection beyond which it is closed; and the streams' own limits.
    var outboundBytes: Int
    var pauseBytes: Int
    var deliverBytes: Int

    init(random: inout SimulationRandom) {
        let narrow = random.chance(1, in: 2)
        // The largest batch that producers make has about 100 KiB.
        limits =
            PeerLimits(
                frameBytes: narrow ? random.pick([4_096, 8_192, 65_536]) : 128 * 1_024,
                unitBytes: narrow ? 128 * 1_024 : 4 << 20,
                streamWindowBytes: narrow ? 0 : 8 << 20,
                connectionWindowBytes: narrow ? 0 : 16 << 20
            ).normalized
        capacity = random.pick([4_096, 65_536, 1 << 20])
        keepaliveNanos = random.pick([5_000_000_000, 30_000_000_000])
        outboundBytes = random.pick([512 << 10, 8 << 20])
        pauseBytes = random.pick([16 << 10, 128 << 10])
        deliverBytes = random.pick([1 << 10, 16 << 10, 512 << 10])
    }

    func configuration(_ role: WireRole, resumeGraceNanos: Int64) -> ConnectionConfiguration {
        var configuration = ConnectionConfiguration(role: role, limits: limits)
        configuration.keepaliveNanos = keepaliveNanos
        configuration.resumeGraceNanos = resumeGraceNanos
        configuration.outboundBytes = role == .server ? outboundBytes : 32 << 20
        return configuration
    }
}
