/// Writes what a service's methods are called, with the types that they take and give.
struct ServiceGenerator {
    let model: ServiceModel
    let swiftName: String
    let visibility: String

    func write(to code: inout CodeWriter) {
        code.documentation(model.comment)
        code.block("\(visibility) enum \(swiftName)") { code in
            code.line("/// The service's full name.")
            code.line("\(visibility) static let serviceName = \"\(model.fullName)\"")
            var used: Set<String> = ["serviceName", "init", "self", "Type"]
            for method in model.methods {
                var name = Naming.lowerCamel(method.name)
                while !used.insert(name).inserted { name += "_" }
                code.line()
                code.documentation(
                    method.comment.isEmpty ? " \(model.name).\(method.name)." : method.comment)
                code.line(
                    "\(visibility) static let \(Naming.quoted(name)) = ChaskiProtobuf.RPCMethod<")
                code.indented { code in
                    code.line("\(method.input.swiftPath), \(method.output.swiftPath)")
                }
                code.line(">(")
                code.indented { code in
                    code.line("path: \"\(model.fullName)/\(method.name)\",")
                    code.line(
                        "clientStreams: \(method.clientStreams), "
                            + "serverStreams: \(method.serverStreams))")
                }
            }
        }
    }
}
