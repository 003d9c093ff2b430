import ChaskiCodeGen

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

// protoc speaks to a plugin through standard input and output.
do {
    let plugin = Plugin(runC: ProcessRunner.runCGenerator)
    let response = try plugin.respond(to: try ProcessRunner.readAll(STDIN_FILENO))
    try ProcessRunner.writeAll(STDOUT_FILENO, response)
} catch {
    try? ProcessRunner.writeAll(
        STDERR_FILENO, Array("protoc-gen-chaski-swift: \(error)\n".utf8))
    exit(1)
}
