package import ChaskiModel

/// What the process tells its caller; the numbers of BSD's `sysexits.h` where one fits.
package enum ProgramStatus: Int32, Sendable, CaseIterable {
    /// Done.
    case ok = 0
    /// A check ran and found a violation (`bench verify`, `journal verify`).
    case checkFailed = 1
    /// The command line is wrong.
    case usage = 64
    /// The input is wrong: a line that is not JSON, a message past a limit, a bad name.
    case dataError = 65
    /// What was named does not exist.
    case notFound = 66
    /// The broker cannot be reached, or will not serve for now.
    case unavailable = 69
    /// A bug, on this side or the other.
    case internalError = 70
    /// It exists already, is in use, or cannot be made.
    case cannotCreate = 73
    /// Reading or writing a file failed, or stored data is damaged.
    case ioError = 74
    /// Nothing is wrong with the request: try again later.
    case temporary = 75
    /// The other side does not speak our protocol, or another version of it.
    case protocolError = 76
    /// Not allowed.
    case noPermission = 77

    /// The status for a failure: by its reason where the reason says more than the code.
    package init(_ failure: Failure) {
        switch failure.reason {
        case .protocolError, .unsupportedVersion: self = .protocolError
        case .indeterminate: self = .temporary
        case .damaged, .journalFailed: self = .ioError
        case .ioFailed:
            self = failure.code == .permissionDenied ? .noPermission : .ioError
        case .invalidOption: self = .usage
        case .topicInUse: self = .cannotCreate
        default: self = Self(failure.code)
        }
    }

    private init(_ code: StatusCode) {
        switch code {
        case .invalidArgument, .outOfRange: self = .dataError
        case .notFound: self = .notFound
        case .alreadyExists, .failedPrecondition: self = .cannotCreate
        case .permissionDenied, .unauthenticated: self = .noPermission
        case .cancelled, .deadlineExceeded, .resourceExhausted, .aborted: self = .temporary
        case .unimplemented: self = .protocolError
        case .unavailable: self = .unavailable
        case .dataLoss: self = .ioError
        case .unknown, .internalError: self = .internalError
        }
    }

    /// One line for the help text.
    package var meaning: String {
        switch self {
        case .ok: "done"
        case .checkFailed: "a check found a violation (journal verify, bench verify)"
        case .usage: "wrong command line"
        case .dataError: "wrong input: bad name, setting, line or size"
        case .notFound: "no such topic, subscription, namespace or file"
        case .unavailable: "the broker cannot be reached or is not serving"
        case .internalError: "a bug; please report it"
        case .cannotCreate: "exists already, or is in use (port, data directory, topic)"
        case .ioError: "reading or writing failed, or stored data is damaged"
        case .temporary: "nothing wrong with the request: try again later"
        case .protocolError: "the other side does not speak our protocol or version"
        case .noPermission: "not allowed"
        }
    }

    /// The table of the help text.
    package static var helpTable: String {
        var lines = ["EXIT STATUS:"]
        for status in allCases {
            let number = String(status.rawValue)
            let gap = String(repeating: " ", count: 4 - min(number.count, 3))
            lines.append("  \(number)\(gap)\(status.meaning)")
        }
        return lines.joined(separator: "\n")
    }
}
