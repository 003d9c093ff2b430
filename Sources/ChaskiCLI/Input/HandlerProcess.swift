private import Dispatch
private import Glibc
private import Synchronization

/// Runs `subscribe --exec COMMAND` for one message: payload on standard input, the rest in the
/// environment.
package struct HandlerProcess: Sendable {
    package enum Outcome: Hashable, Sendable {
        case exited(Int32)
        case signalled(Int32)
        /// The shell could not be started; the errno.
        case notStarted(Int32)

        /// Why a message is retried; nil where the handler was content.
        package var problem: String? {
            switch self {
            case .exited(0): nil
            case .exited(let status): "handler exited with \(status)"
            case .signalled(let number): "handler was killed by signal \(number)"
            case .notStarted(let code): "handler did not start: \(String(cString: strerror(code)))"
            }
        }

        /// The same for programs: dead letters can be found by it.
        package var code: String {
            switch self {
            case .exited(let status): "exit-\(status)"
            case .signalled(let number): "signal-\(number)"
            case .notStarted: "not-started"
            }
        }
    }

    private let command: String
    private static let queue = DispatchQueue(label: "chaski.handlers", attributes: .concurrent)

    private static let starting = Mutex(())

    package init(command: String) { self.command = command }

    /// Runs the command with `/bin/sh -c` and waits for it, off the threads of Swift's tasks.
    package func run(_ message: ReceivedMessage) async -> Outcome {
        await withCheckedContinuation { continuation in
            Self.queue.async { continuation.resume(returning: runBlocking(message)) }
        }
    }

    /// The variables that the command gets beside our own environment.
    package static func environment(_ message: ReceivedMessage) -> [String] {
        var variables = [
            "CHASKI_ID=\(message.id)", "CHASKI_TOPIC=\(message.topic)",
            "CHASKI_SUBSCRIPTION=\(message.subscription)", "CHASKI_OFFSET=\(message.offset)",
            "CHASKI_HANDOUT=\(message.handout)", "CHASKI_FAILED=\(message.failed)",
            "CHASKI_APPEND_TIME=\(Units.timestamp(wallNanos: message.appendTimeNanos))",
        ]
        if let key = message.key.flatMap({ Text.decoded($0) }) {
            variables.append("CHASKI_KEY=\(key)")
        }
        for attribute in message.attributes {
            let name = attribute.name.uppercased().map { character in
                character.isASCII && (character.isLetter || character.isNumber) ? character : "_"
            }
            variables.append("CHASKI_ATTRIBUTE_\(String(name))=\(attribute.value)")
        }
        // A NUL would end a variable early: one that has it is left out.
        return variables.filter { !$0.utf8.contains(0) }
    }

    private func runBlocking(_ message: ReceivedMessage) -> Outcome {
        let variables = Self.environment(message)
        // One at a time: no child may inherit another's pipe, or it would never see its end.
        let (child, input, code) = Self.starting.withLock { _ in start(variables) }
        guard code == 0 else { return .notStarted(code) }
        // A handler need not read its input; a broken pipe is its choice.
        Terminal.ignoreBrokenPipes()
        _ = Terminal.writeAll(message.payload, to: input)
        close(input)
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { return .notStarted(errno) }
        }
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .signalled(signal)
    }

    /// The child, the end of its input to write to, and 0 or an errno.
    private func start(_ variables: [String]) -> (child: pid_t, input: Int32, code: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return (0, -1, errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        Self.keepSockets()
        let (child, code) = spawn(input: ends[0], variables)
        close(ends[0])
        if code != 0 { close(ends[1]) }
        return (child, ends[1], code)
    }

    /// Our connection is not for handlers: one that outlives us when we are killed would keep it
    /// open, and the broker would not see that we are gone.
    private static func keepSockets() {
        for descriptor in Int32(3)..<1_024 {
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else {
                continue
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
    }

    private func spawn(input: Int32, _ variables: [String]) -> (pid_t, Int32) {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Its own process group: Ctrl-C ends us, and lets a handler that runs finish.
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for signal in [SIGPIPE, SIGINT, SIGTERM] { sigaddset(&defaults, signal) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        var mask = sigset_t()
        sigemptyset(&mask)
        posix_spawnattr_setsigmask(&attributes, &mask)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        posix_spawnattr_setflags(&attributes, Int16(truncatingIfNeeded: flags))

        var arguments = Self.copies(["/bin/sh", "-c", command])
        var environment = Self.copies(Self.inherited(except: variables) + variables)
        defer { for text in arguments + environment { free(text) } }
        var child: pid_t = 0
        let code = posix_spawn(
            &child, "/bin/sh", &actions, &attributes, &arguments, &environment)
        return (child, code)
    }

    /// C strings with a nil at the end.
    private static func copies(_ texts: [String]) -> [UnsafeMutablePointer<CChar>?] {
        texts.map { (text: String) in strdup(text) } + [nil]
    }

    private static func inherited(except variables: [String]) -> [String] {
        func name(_ variable: String) -> Substring { variable.prefix { $0 != "=" } }
        let names = Set(variables.map(name))
        var found: [String] = []
        var entry = environ
        while let text = entry.pointee {
            let variable = String(cString: text)
            if !names.contains(name(variable)) { found.append(variable) }
            entry += 1
        }
        return found
    }
}
