// Speaks the protobuf conformance suite's protocol: a length, a request; a length, a response.
import ChaskiProtobuf
import Testee

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

func readExactly(_ count: Int) -> [UInt8]? {
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while result.count < count {
        let got = read(STDIN_FILENO, &buffer, min(buffer.count, count - result.count))
        if got < 0, errno == EINTR { continue }
        guard got > 0 else { return nil }
        result += buffer[..<got]
    }
    return result
}

func write(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { exit(1) }
        rest = rest.dropFirst(count)
    }
}

func roundTrip<M: Message>(_ type: M.Type, _ bytes: [UInt8]) -> Conformance_ConformanceResponse {
    .with { response in
        do {
            let message = try M(serializedBytes: bytes)
            do {
                let options = EncodingOptions(deterministic: true)
                response.protobufPayload = try message.serializedBytes(options: options)
            } catch {
                response.serializeError = "\(error)"
            }
        } catch {
            response.parseError = "\(error)"
        }
    }
}

func answer(_ request: Conformance_ConformanceRequest) -> Conformance_ConformanceResponse {
    guard case .protobufPayload(let bytes)? = request.payload else {
        return .with { $0.skipped = "only the binary format" }
    }
    guard request.requestedOutputFormat == .protobuf else {
        return .with { $0.skipped = "only the binary format" }
    }
    switch request.messageType {
    case ProtobufTestMessages_Proto3_TestAllTypesProto3.protoMessageName:
        return roundTrip(ProtobufTestMessages_Proto3_TestAllTypesProto3.self, bytes)
    case ProtobufTestMessages_Proto2_TestAllTypesProto2.protoMessageName:
        return roundTrip(ProtobufTestMessages_Proto2_TestAllTypesProto2.self, bytes)
    default:
        return .with { $0.skipped = "no such message type" }
    }
}

while let header = readExactly(4) {
    let length = header.reversed().reduce(0) { $0 << 8 | Int($1) }
    guard let body = readExactly(length) else { exit(1) }
    do {
        let request = try Conformance_ConformanceRequest(serializedBytes: body)
        let response = try answer(request).serializedBytes()
        write((0..<4).map { UInt8(truncatingIfNeeded: response.count >> ($0 * 8)) } + response)
    } catch {
        exit(1)
    }
}
