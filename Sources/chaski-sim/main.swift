import ChaskiSimulation
import Foundation

let arguments: Arguments
do {
    arguments = try Arguments(Array(CommandLine.arguments.dropFirst()))
} catch {
    FileHandle.standardError.write(
        Data("chaski-sim: \(error.sentence)\n\n\(Arguments.usage)\n".utf8))
    exit(64)
}
switch arguments.command {
case "run": exit(RunCommand(arguments).run())
case "worker": exit(WorkerCommand(arguments).run())
case "sweep": exit(SweepCommand(arguments).run())
case "mutations":
    for mutation in Mutation.allCases { print(mutation.rawValue) }
    exit(0)
case "mutate":
    print("Mutations are patches beside the tests: tools/mutate NAME|all applies them and says who")
    print("notices. Those made by the simulator itself: chaski-sim mutations.")
    exit(0)
case "replay": exit(ReplayCommand(arguments).run())
default:
    print(Arguments.usage)
    exit(arguments.command == "help" ? 0 : 64)
}
