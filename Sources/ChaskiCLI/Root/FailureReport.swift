package import ChaskiModel

/// How a failure is told on standard error: one sentence with code, reason and the way out.
package enum FailureReport {
    /// gRPC's upper-case name of a code.
    package static func name(of code: StatusCode) -> String {
        switch code {
        case .cancelled: "CANCELLED"
        case .unknown: "UNKNOWN"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .alreadyExists: "ALREADY_EXISTS"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .aborted: "ABORTED"
        case .outOfRange: "OUT_OF_RANGE"
        case .unimplemented: "UNIMPLEMENTED"
        case .internalError: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .dataLoss: "DATA_LOSS"
        case .unauthenticated: "UNAUTHENTICATED"
        }
    }

    /// The line for people.
    package static func text(_ failure: Failure) -> String {
        var line = "chaski: \(name(of: failure.code)) (\(failure.reason.rawValue)): "
        line += Text.printable(failure.message)
        if let hint = wayOut(failure) {
            while line.last == "." { line.removeLast() }
            line += "; \(hint)"
        }
        if let nanos = failure.retryAfterNanos, nanos > 0 {
            line += " (try again in \(Units.duration(nanos: nanos)))"
        }
        return line
    }

    /// The line for programs.
    package static func json(_ failure: Failure, _ status: ProgramStatus? = nil) -> JSONValue {
        .object([
            "error": .object([
                "code": .string(name(of: failure.code)),
                "reason": .string(failure.reason.rawValue),
                "message": .string(failure.message),
                "retryAfterMillis": failure.retryAfterNanos.map { .integer($0 / 1_000_000) }
                    ?? .null,
                "exitStatus": .integer(
                    Int64((status ?? ProgramStatus(failure)).rawValue)),
            ])
        ])
    }

    /// What the user can type next.
    static func wayOut(_ failure: Failure) -> String? {
        switch failure.reason {
        case .unknownTopic:
            return "see `chaski topic list`, make it with `chaski topic create NAME`"
        case .unknownSubscription:
            return
                "see `chaski subscription list`, make it with `chaski subscription create NAME TOPIC`"
        case .unknownNamespace:
            return
                "choose one that the broker serves with --namespace (`chaski serve --namespace NAME`)"
        case .unsupportedVersion: return "install the same version of chaski on both sides"
        case .protocolError, .handshakeTimeout: return "check that --server names a chaski broker"
        case .unreachable:
            return "start one with `chaski serve`, or say where it is with --server HOST:PORT"
        default: return nil
        }
    }
}

extension FailureReason {
    /// No connection could be had for as long as the caller would wait.
    static let unreachable = Self(rawValue: "unreachable")
    /// Somebody took the connection, and did not answer as a broker does.
    static let handshakeTimeout = Self(rawValue: "handshake-timeout")
    /// The value of a flag, or of the variable in its place, is none.
    static let invalidOption = Self(rawValue: "invalid-option")
    /// Reading or writing a file failed.
    static let ioFailed = FileProblem.ioFailed
}

/// Text that comes from elsewhere and goes to a terminal.
package enum Text {
    /// `text` with control characters replaced, so that no peer moves our cursor.
    package static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var out = ""
        for scalar in text.unicodeScalars {
            if isControl(scalar) {
                out += "\\u{" + String(scalar.value, radix: 16) + "}"
            } else {
                out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    /// The columns that `text` takes on a terminal: two for a wide character (East Asian scripts,
    /// emoji; Unicode Standard Annex 11), one for any other.
    package static func width(_ text: String) -> Int {
        text.reduce(0) { $0 + ($1.unicodeScalars.contains(where: isWide) ? 2 : 1) }
    }

    private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF,
            0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x20000...0x3FFFD:
            true
        default: scalar.properties.isEmojiPresentation
        }
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
    }

    /// The text of UTF-8 bytes; nil where they are something else.
    package static func decoded(_ bytes: some Collection<UInt8>) -> String? {
        String(validating: bytes, as: UTF8.self)
    }
}
