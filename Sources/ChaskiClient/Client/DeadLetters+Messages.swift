import ChaskiMessages
import ChaskiModel
import ChaskiWire

extension Chaski_V1_OffsetRange {
    init(_ range: Range<Offset>) {
        self.init()
        first = range.lowerBound
        count = range.upperBound - range.lowerBound
    }
}

extension Chaski_V1_DeadLetterFilter {
    init(_ filter: DeadLetterFilter) {
        self.init()
        ranges = filter.offsets.map { Chaski_V1_OffsetRange($0) }
        cause = filter.cause ?? ""
        reason = filter.reason ?? ""
        code = filter.code ?? ""
        if let nanos = filter.diedFromNanos { diedFromUnixNanos = nanos }
        if let nanos = filter.diedBeforeNanos { diedBeforeUnixNanos = nanos }
        if let bytes = filter.key { key = bytes }
        attributes = filter.attributes.map { attribute in
            .with {
                $0.name = attribute.name
                $0.value = attribute.value
            }
        }
    }
}

extension AttemptInfo {
    init(_ attempt: Chaski_V1_Attempt) {
        let session = attempt.sessionID[...].littleEndian(UInt128.self, at: 0)
        self.init(
            end: attempt.end, handout: attempt.handout,
            session: session.map { SessionID(rawValue: $0) }, endedNanos: attempt.endedUnixNanos,
            reason: attempt.reason, code: attempt.code,
            delayNanos: attempt.hasDelayNanos ? Int64(clamping: attempt.delayNanos) : nil)
    }
}

extension DeadLetterDetails {
    init(_ response: Chaski_V1_ShowDeadLetterResponse) {
        let stored = response.hasMessage ? response.message : nil
        self.init(
            letter: DeadLetterInfo(response.deadLetter), attemptCount: response.attemptsTotal,
            attempts: response.attempts.map { AttemptInfo($0) },
            message: stored.map { stored in
                Message(
                    stored.payload, key: stored.hasKey ? stored.key : nil,
                    attributes: stored.attributes.map { Attribute($0.name, $0.value) },
                    eventTimeNanos: stored.hasEventUnixNanos ? stored.eventUnixNanos : nil,
                    expiryNanos: stored.hasExpiryUnixNanos ? stored.expiryUnixNanos : nil,
                    schemaID: stored.hasSchemaID ? stored.schemaID : nil)
            },
            appendedNanos: stored?.appendedUnixNanos,
            unreadable: response.hasUnreadable
                ? response.unreadable.failure.map { ChaskiError($0) } : nil)
    }
}
