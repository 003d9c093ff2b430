private import ChaskiCLI
private import Glibc

@main
enum Chaski {
    static func main() async {
        exit(await ChaskiProgram.run(Array(CommandLine.arguments.dropFirst())))
    }
}
