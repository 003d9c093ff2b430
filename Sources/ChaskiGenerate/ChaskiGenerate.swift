import Foundation
import PackagePlugin

/// `swift package --allow-writing-to-package-directory chaski-generate --module NAME`: makes a C
/// target and a Swift target of a package's .proto files.
///
/// All of it is in `protoc-gen-chaski-swift`, which runs in the package's folder with the arguments
/// as they come; `--help` lists them.
@main
struct ChaskiGenerate: CommandPlugin {
    func performCommand(context: PluginContext, arguments: [String]) async throws {
        let generator = Process()
        generator.executableURL = try context.tool(named: "protoc-gen-chaski-swift").url
        generator.currentDirectoryURL = context.package.directoryURL
        // Without arguments it would take itself for protoc's plugin and wait for input.
        generator.arguments = arguments.isEmpty ? ["--check"] : arguments
        let complaints = Pipe()
        generator.standardError = complaints
        try generator.run()
        let said = try complaints.fileHandleForReading.readToEnd() ?? Data()
        generator.waitUntilExit()
        let text = String(decoding: said, as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        if generator.terminationStatus != 0 {
            // SwiftPM ends with status 1 then.
            Diagnostics.error(text.isEmpty ? "chaski-generate ended early" : text)
        } else if !text.isEmpty {
            Diagnostics.warning(text)
        }
    }
}
