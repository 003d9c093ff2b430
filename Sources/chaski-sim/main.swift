import ChaskiSimulation
import Foundation

let arguments = Arguments(Array(CommandLine.arguments.dropFirst()))
switch arguments.command {
case "run": exit(RunCommand(arguments).run())
case "worker": exit(WorkerCommand(arguments).run())
case "sweep": exit(SweepCommand(arguments).run())
case "mutations":
    for mutation in Mutation.allCases { print(mutation.rawValue) }
    exit(0)
case "replay": exit(ReplayCommand(arguments).run())
default:
    print(Arguments.usage)
    exit(arguments.command == "help" ? 0 : 64)
}
