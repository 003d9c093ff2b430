import ChaskiModel

extension [UInt8] {
    /// Byte 0 resumed, 1 paused, 2 paused until a time of the broker clock, which follows.
    mutating func append(_ change: PauseChange) {
        switch change {
        case .resume: append(0)
        case .pause(nil): append(1)
        case .pause(let until?):
            append(2)
            append(zigzag: until)
        }
    }

    mutating func append(breaker policy: BreakerPolicy) {
        append(varint: UInt64(policy.failureThousandths))
        append(zigzag: policy.windowNanos)
        append(varint: UInt64(policy.minimumVerdicts))
        append(zigzag: policy.openNanos)
    }

    /// As it stands in a checkpoint: with when it began.
    mutating func append(pause: Pause?) {
        guard let pause else {
            append(PauseChange.resume)
            return
        }
        append(PauseChange.pause(until: pause.until))
        append(zigzag: pause.sinceClock)
        append(zigzag: pause.sinceWall)
    }
}

extension ByteReader {
    mutating func pauseChange() throws(Failure) -> PauseChange {
        switch try byte() {
        case 0: return .resume
        case 1: return .pause(until: nil)
        case 2: return .pause(until: try zigzag())
        default: throw .corruptEntry("a kind of pause is not known")
        }
    }

    mutating func pause() throws(Failure) -> Pause? {
        switch try pauseChange() {
        case .resume: return nil
        case .pause(let until):
            return Pause(until: until, sinceClock: try zigzag(), sinceWall: try zigzag())
        }
    }

    mutating func rateLimit() throws(Failure) -> UInt32 {
        let rate = try varint32()
        guard rate > 0, rate <= TokenBucket.maximumRate else {
            throw .corruptEntry("a rate limit is impossible")
        }
        return rate
    }

    mutating func breakerPolicy() throws(Failure) -> BreakerPolicy {
        BreakerPolicy(
            failureThousandths: try varint32(), windowNanos: try zigzag(),
            minimumVerdicts: try varint32(), openNanos: try zigzag())
    }

    mutating func breakerSwitch() throws(Failure) -> BreakerSwitch {
        guard let position = BreakerSwitch(rawValue: try byte()) else {
            throw .corruptEntry("a breaker's switch is not known")
        }
        return position
    }
}
