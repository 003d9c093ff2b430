private import ChaskiCLI
private import Dispatch
private import Glibc

@main
enum Chaski {
    static func main() {
        Terminal.openClosedStreams()
        Task.detached { exit(await ChaskiProgram.run(Array(CommandLine.arguments.dropFirst()))) }
        dispatchMain()
    }
}
