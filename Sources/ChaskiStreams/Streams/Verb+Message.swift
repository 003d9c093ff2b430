import ChaskiMessages
import ChaskiModel

extension Verb {
    init(_ verb: Chaski_V1_SettleVerb) throws(Failure) {
        switch verb {
        case .ack: self = .ack
        case .retry: self = .retry
        case .fail: self = .fail
        case .release: self = .release
        case .extend: self = .extend
        case .unspecified, .UNRECOGNIZED: throw .protocolError("a verdict without a known verb")
        }
    }
}
