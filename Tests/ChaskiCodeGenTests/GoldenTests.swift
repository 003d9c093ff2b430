import ChaskiMessages
import Foundation
import Testing

@testable import ChaskiCodeGen

/// What is generated of adversarial schemas is what was looked at and committed. That it compiles,
/// without a warning, and reads and writes what protoc writes, `tools/golden --compile` shows.
@Suite struct GoldenTests {
    private typealias Request = Google_Protobuf_Compiler_CodeGeneratorRequest
    private typealias Response = Google_Protobuf_Compiler_CodeGeneratorResponse

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Golden")
    private static let protos = folder.appendingPathComponent("protos")

    static let protoc: URL? = (ProcessInfo.processInfo.environment["PATH"] ?? "")
        .split(separator: ":").map { URL(fileURLWithPath: "\($0)/protoc") }
        .first { FileManager.default.isExecutableFile(atPath: $0.path) }

    /// Paths below `protos`, in order.
    private static func schemas() -> [String] {
        let all = FileManager.default.enumerator(atPath: protos.path)?.compactMap { $0 as? String }
        return (all ?? []).filter { $0.hasSuffix(".proto") && $0 != "echo.proto" }.sorted()
    }

    /// What protoc says of `files`: a `FileDescriptorSet` has its files in field 1, a request to a
    /// plugin in field 15.
    private func described(_ files: [String], in folder: URL = protos) async throws -> Request {
        let output = FileManager.default.temporaryDirectory
            .appendingPathComponent("golden-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: output) }
        let process = Process()
        let protoc: URL = try #require(Self.protoc)
        process.executableURL = protoc
        let shared = Self.folder.deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Protos")
        process.arguments =
            [
                "-I\(folder.path)", "-I\(shared.path)", "--include_imports",
                "--include_source_info", "--descriptor_set_out=\(output.path)",
            ] + files
        process.standardError = FileHandle.nullDevice
        // Not `waitUntilExit`, which blocks a thread that other tests need.
        try await withCheckedThrowingContinuation { (ended: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in ended.resume() }
            do {
                try process.run()
            } catch {
                ended.resume(throwing: error)
            }
        }
        try #require(process.terminationStatus == 0, "protoc refused \(files)")
        var request = Request()
        request.fileToGenerate = files
        request.protoFile = try Self.members([UInt8](Data(contentsOf: output)))
        return request
    }

    /// The messages in field 1 of a message that holds nothing else.
    private static func members(_ bytes: [UInt8]) throws -> [Google_Protobuf_FileDescriptorProto] {
        var result: [Google_Protobuf_FileDescriptorProto] = []
        var rest = bytes[...]
        while let tag = rest.popFirst() {
            try #require(tag == 0x0A)
            var length = 0
            var shift = 0
            while let byte = rest.popFirst() {
                length |= Int(byte & 0x7F) << shift
                shift += 7
                if byte < 0x80 { break }
            }
            try #require(length <= rest.count)
            result.append(
                try Google_Protobuf_FileDescriptorProto(serializedBytes: rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return result
    }

    private func respond(_ request: Request, _ parameter: String) throws -> Response {
        let plugin = Plugin { _ throws(GeneratorError) in throw GeneratorError("not asked") }
        var request = request
        request.parameter = "Output=Swift,\(parameter)"
        return try Response(serializedBytes: plugin.respond(to: request.serializedBytes()))
    }

    private static let settings =
        "Visibility=Public,CModule=CGolden,CDir=CGolden,FileNaming=PathToUnderscores"

    @Test(.enabled(if: protoc != nil, "protoc is not installed"))
    func outputIsTheExpectedOne() async throws {
        let schemas = Self.schemas().filter { $0 != "wide.proto" }
        #expect(schemas.count > 10)
        let response = try respond(await described(schemas), Self.settings)
        #expect(!response.hasError, "\(response.error)")
        #expect(response.file.count == schemas.count)
        for file in response.file {
            let path = Self.folder.appendingPathComponent("expected/\(file.name)")
            let expected = try String(contentsOf: path, encoding: .utf8)
            #expect(
                file.content == expected,
                "\(file.name) changed at line \(firstDifference(file.content, expected)); look at it, then run tools/golden"
            )
        }
    }

    private func firstDifference(_ one: String, _ other: String) -> Int {
        let lines = zip(one.components(separatedBy: "\n"), other.components(separatedBy: "\n"))
        return lines.prefix { $0 == $1 }.count + 1
    }

    @Test(.enabled(if: protoc != nil, "protoc is not installed"))
    func fiveHundredFields() async throws {
        let response = try respond(await described(["wide.proto"]), Self.settings)
        let text = try #require(response.file.first?.content)
        for number in 1...500 { #expect(text.contains("public var field\(number): ")) }
        // An initialiser of so many helps nobody.
        #expect(!text.contains("public init(field1"))
    }

    @Test(
        .enabled(if: protoc != nil, "protoc is not installed"),
        arguments: [
            ("Service=golden.none.Such", "Service 'golden.none.Such'"),
            ("Service=Orders,Services=Client", ""), ("Colour=blue", "there is no setting 'Colour'"),
            ("Services=Some", "All, Client, Server, Methods, None"),
        ])
    func settings(_ parameter: String, _ complaint: String) async throws {
        let response = try respond(await described(["bare.proto"]), parameter)
        #expect(response.hasError == !complaint.isEmpty)
        #expect(response.error.contains(complaint) || complaint.isEmpty, "\(response.error)")
        guard !response.hasError else { return }
        let text = response.file.first?.content ?? ""
        #expect(text.contains("struct Client_: Sendable") && !text.contains("RPCServable"))
        #expect(!text.contains("enum Message2"))
    }

    /// Two files whose types Swift could not tell apart: both are named, with their lines.
    @Test(.enabled(if: protoc != nil, "protoc is not installed"))
    func typesOfOneNameAreRefused() async throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("golden-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try "syntax = \"proto3\";\npackage foo_bar;\n\nmessage M {}\n".write(
            to: folder.appendingPathComponent("a.proto"), atomically: true, encoding: .utf8)
        try "syntax = \"proto3\";\npackage FooBar;\nmessage M {}\n".write(
            to: folder.appendingPathComponent("b.proto"), atomically: true, encoding: .utf8)
        let response = try respond(await described(["a.proto", "b.proto"], in: folder), "")
        #expect(response.error.hasPrefix("b.proto:3: FooBar.M and foo_bar.M (a.proto:4)"))
        #expect(response.error.contains("swift_prefix"))
    }
}
