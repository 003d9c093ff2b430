package import ChaskiModel

/// A host name or address with a port.
package struct HostPort: Hashable, Sendable {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// The port of a broker unless told.
    package static let defaultPort = 7420
    package static let standard = HostPort(host: "127.0.0.1", port: defaultPort)

    /// Reads `host:port`, `host`, `:port`, `[v6]:port` or `[v6]`; nil where it is none of them.
    package init?(_ text: String) {
        var host = Substring()
        var port: Substring?
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<close]
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
            port = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
            guard !host.contains(":") else { return nil }
        } else {
            host = text[...]
        }
        if let port {
            guard let number = UInt16(port), !port.hasPrefix("+") else { return nil }
            self.port = Int(number)
        } else {
            self.port = Self.defaultPort
        }
        guard !host.isEmpty || port != nil else { return nil }
        self.host = host.isEmpty ? "127.0.0.1" : String(host)
    }

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Reads a value given by `source`.
    ///
    /// - Throws: `invalid-option` where it is no address.
    package static func parse(_ text: String, source: String) throws(Failure) -> HostPort {
        guard let value = HostPort(text) else {
            throw Failure(
                .invalidArgument, .invalidOption,
                "\(source) \"\(Text.printable(text))\" is not HOST:PORT, as in 127.0.0.1:7420")
        }
        return value
    }
}
