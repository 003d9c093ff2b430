import ChaskiCodeGen

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// protoc starts a plugin without arguments and speaks to it through standard input and output.
func answerProtoc() throws {
    let plugin = Plugin(runC: ProcessRunner.runCGenerator)
    let response = try plugin.respond(to: try ProcessRunner.readAll(STDIN_FILENO))
    try ProcessRunner.writeAll(STDOUT_FILENO, response)
}

/// With arguments it is the command that runs protoc itself. Exit status 1: not as it should be.
func generate(_ arguments: [String]) throws {
    let command = try GenerateCommand(parsing: arguments)
    if command.wantsHelp {
        return try ProcessRunner.writeAll(STDOUT_FILENO, Array(GenerateCommand.help.utf8))
    }
    let result = try GenerateShell(command).run()
    let text = result.lines.map { $0 + "\n" }.joined()
    try ProcessRunner.writeAll(result.isClean ? STDOUT_FILENO : STDERR_FILENO, Array(text.utf8))
    if !result.isClean { exit(1) }
}

let arguments = Array(CommandLine.arguments.dropFirst())
do {
    // Somebody who calls it by hand is no protoc.
    let isByHand = arguments.isEmpty && isatty(STDIN_FILENO) == 1
    try arguments.isEmpty && !isByHand
        ? answerProtoc() : generate(isByHand ? ["--help"] : arguments)
} catch {
    let name = arguments.isEmpty ? "protoc-gen-chaski-swift" : "chaski-generate"
    try? ProcessRunner.writeAll(STDERR_FILENO, Array("\(name): \(error)\n".utf8))
    exit(1)
}
