package import ChaskiModel
import ChaskiStorage
import NIOCore

#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Why a broker did not start, or ended on its own: one sentence, and what kind of trouble it is.
package struct StartupFailure: Error, Hashable, Sendable {
    /// What a program may want to tell apart.
    package enum Kind: Sendable, CaseIterable {
        /// A setting that cannot be.
        case configuration
        /// Something else broke.
        case software
        /// The disk failed or is full, or a file could not be read or written.
        case disk
        /// Another process listens there.
        case portInUse
        /// The address cannot be listened on: unknown, or not permitted.
        case address
        /// Another process works on the data directory.
        case directoryInUse
        /// The data was written by a newer release; nothing was changed.
        case newerFormat
        /// The data is damaged; nothing was changed.
        case damaged
    }

    package var kind: Kind
    package var failure: Failure

    package init(_ kind: Kind, _ failure: Failure) {
        self.kind = kind
        self.failure = failure
    }
}

extension StartupFailure: CustomStringConvertible {
    package var description: String { "\(failure.message) [\(failure.reason.rawValue)]" }
}

extension StartupFailure {
    /// What an error during the start means.
    init(_ error: any Error, _ configuration: ServerConfiguration) {
        switch error {
        case let failure as StartupFailure: self = failure
        case let failure as Failure where failure.reason == .diskFull:
            // What a running broker says of it, that publishing resumes by itself, is not so here.
            self.init(.disk, .diskFull(at: configuration.dataDirectory))
        case let failure as Failure: self.init(Self.kind(of: failure), failure)
        case let error as FileError where error.code == .noSpace:
            self.init(.disk, .diskFull(at: configuration.dataDirectory))
        case let error as FileError:
            self.init(
                .disk,
                Failure(
                    .unavailable, FailureReason(rawValue: "data-directory"),
                    "the data directory \(configuration.dataDirectory) cannot be used: "
                        + "\(error.message); choose another with --data, or mend its permissions"))
        case let error as IOError: self.init(listening: error, configuration)
        case is SocketAddressError, is SocketAddressError.UnknownHost:
            self.init(
                .address,
                Failure(
                    .unavailable, FailureReason(rawValue: "address"),
                    "cannot listen on \(configuration.host): the name cannot be resolved; "
                        + "give an address of this machine with --listen"))
        default:
            self.init(
                .software,
                Failure(
                    .internalError, FailureReason(rawValue: "start-failed"),
                    "the broker cannot start: \(error)"))
        }
    }

    private init(listening error: IOError, _ configuration: ServerConfiguration) {
        let place = "\(configuration.host):\(configuration.port)"
        if error.errnoCode == EADDRINUSE {
            self.init(
                .portInUse,
                Failure(
                    .unavailable, FailureReason(rawValue: "port-in-use"),
                    "\(place) is in use by another process: stop it, or choose another port"))
        } else {
            let why =
                switch error.errnoCode {
                case EADDRNOTAVAIL: "this machine does not have that address"
                case EACCES: "only root may use that port"
                default: String(cString: strerror(error.errnoCode))
                }
            self.init(
                .address,
                Failure(
                    .unavailable, FailureReason(rawValue: "address"),
                    "cannot listen on \(place): \(why); choose another with --listen"))
        }
    }

    private static func kind(of failure: Failure) -> Kind {
        switch failure.reason.rawValue {
        case "directory-in-use": .directoryInUse
        case "newer-format": .newerFormat
        case FailureReason.damaged.rawValue: .damaged
        case FailureReason.diskFull.rawValue, FailureReason.journalFailed.rawValue: .disk
        default: .software
        }
    }
}

extension Failure {
    /// A broker that cannot start for want of disk space.
    fileprivate static func diskFull(at directory: String) -> Failure {
        Failure(
            .resourceExhausted, .diskFull,
            "the disk of the data directory \(directory) is full, the broker did not start; free "
                + "space on it and start again")
    }
}
