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
        try generator.run()
        generator.waitUntilExit()
        // What is wrong has been said.
        guard generator.terminationStatus == 0 else { exit(1) }
    }
}
