import ChaskiProtobuf

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

// Without arguments: each message type goes through its codec empty, as far as it may be empty.
// With a type's full name: reads a message of it from standard input and writes it again.

func roundTrip<M: ChaskiProtobuf.Message>(_ type: M.Type, _ bytes: [UInt8]) throws -> [UInt8] {
    let message = try M(serializedBytes: bytes)
    let again = try message.serializedBytes(options: EncodingOptions(deterministic: true))
    guard try M(serializedBytes: again) == message else { throw Different() }
    return again
}

struct Different: Error {}

func checkEmpty<M: ChaskiProtobuf.Message>(_ type: M.Type) throws -> Bool {
    do {
        guard try roundTrip(type, []).isEmpty else { throw Different() }
        guard M().debugDescription.utf8.count < 1_000 else { throw Different() }
        return true
    } catch let error as DecodingError where "\(error)".contains("missing") {
        return false
    }
}

func readAll() -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(STDIN_FILENO, &buffer, buffer.count)
        guard count > 0 else { return bytes }
        bytes += buffer[..<count]
    }
}

if CommandLine.arguments.count > 1 {
    let name = CommandLine.arguments[1]
    guard let type = all.first(where: { $0.protoMessageName == name }) else {
        print("there is no message \(name)")
        exit(2)
    }
    let bytes = try roundTrip(type, readAll())
    _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
} else {
    var incomplete = 0
    for type in all where try !checkEmpty(type) { incomplete += 1 }
    print("\(all.count) messages, \(incomplete) of them with required fields")
}
