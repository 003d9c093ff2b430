/// Writes what a service's methods are called, with the types that they take and give; a client;
/// the protocol of a server.
struct ServiceGenerator {
    let model: ServiceModel
    let services: GeneratorOptions.Services
    let visibility: String

    /// Names that no method may have.
    static let reservedNames: Set<String> = [
        "serviceName", "rpcService", "channel", "init", "self", "Type",
    ]

    func write(to code: inout CodeWriter) {
        code.documentation(model.remarks.noted)
        let name = Naming.quoted(model.swiftName)
        code.block("\(visibility)enum \(name)") { code in
            code.line("/// The service's full name.")
            code.line("\(visibility)static let serviceName = \"\(model.fullName)\"")
            for method in model.methods {
                code.line()
                writeDescription(of: method, to: &code)
            }
            if services.hasClient {
                code.line()
                writeClient(to: &code)
            }
            if services.hasServer {
                code.line()
                writeProtocol(to: &code)
            }
        }
        if services.hasServer {
            code.line()
            writeRegistration(to: &code)
        }
    }

    private func writeDescription(of method: ServiceModel.Method, to code: inout CodeWriter) {
        documentation(of: method, to: &code)
        var arguments = ["path: \"\(model.fullName)/\(method.name)\""]
        if method.clientStreams { arguments.append("clientStreams: true") }
        if method.serverStreams { arguments.append("serverStreams: true") }
        if method.isIdempotent { arguments.append("isIdempotent: true") }
        code.line(
            "\(visibility)static let \(Naming.quoted(method.swiftName)) = ChaskiProtobuf.RPCMethod<"
        )
        code.indented { $0.list([method.input.swiftPath, method.output.swiftPath]) }
        code.line(">(\(arguments.joined(separator: ", ")))")
    }

    private func documentation(of method: ServiceModel.Method, to code: inout CodeWriter) {
        let own = " `\(model.name).\(method.name)`."
        code.documentation(method.remarks.comment.isEmpty ? own : method.remarks.comment)
    }

    /// `name`, or another where a top-level message is called so.
    private func free(_ name: String) -> String {
        let types = model.methods.flatMap { [$0.input, $0.output] }.map(\.outermost.swiftName)
        var name = name
        while types.contains(name) { name += "_" }
        return name
    }

    // MARK: Client

    private var clientName: String { free("Client") }

    private func writeClient(to code: inout CodeWriter) {
        code.line("/// Calls `\(model.fullName)`.")
        if model.remarks.isDeprecated { code.line("@available(*, deprecated)") }
        code.block("\(visibility)struct \(clientName): Sendable") { code in
            code.line("/// Where the calls go.")
            code.line("\(visibility)let channel: any ChaskiProtobuf.RPCChannel")
            code.line()
            code.line("/// Calls through `channel`.")
            code.block("\(visibility)init(_ channel: any ChaskiProtobuf.RPCChannel)") {
                $0.line("self.channel = channel")
            }
            for method in model.methods {
                code.line()
                documentation(of: method, to: &code)
                if method.remarks.isDeprecated { code.line("@available(*, deprecated)") }
                writeCall(of: method, to: &code)
            }
        }
    }

    private func writeCall(of method: ServiceModel.Method, to code: inout CodeWriter) {
        let name = Naming.quoted(method.swiftName)
        let options = "options: ChaskiProtobuf.RPCOptions = .init()"
        let input = method.input.swiftPath
        let output = method.output.swiftPath
        let description = "\(model.swiftName).\(method.swiftName)"
        var parameters = [options]
        var throwing = "throws(ChaskiProtobuf.RPCError)"
        let result: String
        let call: String
        switch (method.clientStreams, method.serverStreams) {
        case (false, false):
            parameters.insert("_ request: \(input)", at: 0)
            (result, call) = (output, "unary(\(description), request, options)")
        case (false, true):
            parameters.insert("_ request: \(input)", at: 0)
            result = "ChaskiProtobuf.RPCMessages<\(output)>"
            call = "serverStream(\(description), request, options)"
        case (true, false):
            code.line("/// - Parameter send: writes the requests.")
            let writer = "ChaskiProtobuf.RPCWriter<\(input)>"
            parameters.append("_ send: @escaping @Sendable (\(writer)) async throws -> Void")
            throwing = "throws"
            (result, call) = (output, "clientStream(\(description), options, send)")
        case (true, true):
            result = "ChaskiProtobuf.RPCDuplex<\(input), \(output)>"
            call = "bidirectional(\(description), options)"
        }
        let end = " async \(throwing)"
        let isLong = !code.fits(")\(end) -> \(result) {")
        code.call("\(visibility)func \(name)", parameters, isLong ? end : "\(end) -> \(result) {")
        if isLong {
            code.line("    -> \(result)")
            code.line("{")
        }
        code.line("    try await channel.\(call)")
        code.line("}")
    }

    // MARK: Server

    private var protocolName: String { free("ServiceProtocol") }

    private func writeProtocol(to code: inout CodeWriter) {
        code.line("/// What a server of `\(model.fullName)` implements; registered as it is.")
        code.block(
            "\(visibility)protocol \(protocolName): ChaskiProtobuf.RPCServable"
        ) { code in
            for (index, method) in model.methods.enumerated() {
                if index > 0 { code.line() }
                code.documentation(
                    method.remarks.noted.isEmpty
                        ? " `\(model.name).\(method.name)`." : method.remarks.noted)
                let input = method.input.swiftPath
                var parameters = [
                    method.clientStreams
                        ? "_ requests: ChaskiProtobuf.RPCMessages<\(input)>"
                        : "_ request: \(input)"
                ]
                if method.serverStreams {
                    parameters.append(
                        "responses: ChaskiProtobuf.RPCWriter<\(method.output.swiftPath)>")
                }
                parameters.append("context: ChaskiProtobuf.RPCContext")
                let result = method.serverStreams ? "" : " -> \(method.output.swiftPath)"
                code.call(
                    "func \(Naming.quoted(method.swiftName))", parameters, " async throws\(result)")
            }
        }
    }

    private func writeRegistration(to code: inout CodeWriter) {
        code.block("extension \(model.swiftName).\(protocolName)") { code in
            code.line("/// The methods as a server finds them.")
            code.block("\(visibility)var rpcService: ChaskiProtobuf.RPCService") { code in
                code.line("ChaskiProtobuf.RPCService(")
                code.indented { code in
                    code.line("name: \(model.swiftName).serviceName,")
                    code.line("handlers: [")
                    code.indented { code in
                        for method in model.methods { writeHandler(of: method, to: &code) }
                    }
                    code.line("])")
                }
            }
        }
    }

    private func writeHandler(of method: ServiceModel.Method, to code: inout CodeWriter) {
        let kind =
            switch (method.clientStreams, method.serverStreams) {
            case (false, false): "unary"
            case (true, false): "clientStream"
            case (false, true): "serverStream"
            case (true, true): "bidirectional"
            }
        let arguments =
            method.serverStreams ? "$0, responses: $1, context: $2" : "$0, context: $1"
        let head = ".\(kind)(\(model.swiftName).\(method.swiftName)) {"
        let call = "try await self.\(method.swiftName)(\(arguments))"
        if code.fits("\(head) \(call) },") {
            code.line("\(head) \(call) },")
        } else {
            code.line(head)
            code.line("    " + call)
            code.line("},")
        }
    }
}
