import ChaskiCodeGen

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Runs protoc and protoc-gen-c and moves bytes through descriptors.
enum ProcessRunner {
    /// Answers `request` by protoc-gen-c: the program named by `CHASKI_PROTOC_GEN_C`, or the one on
    /// the path.
    static func runCGenerator(_ request: [UInt8]) throws(GeneratorError) -> [UInt8] {
        let path = getenv("CHASKI_PROTOC_GEN_C").map { String(cString: $0) } ?? "protoc-gen-c"
        return try run(path, input: request, package: "protobuf-c-compiler")
    }

    /// What `program` writes to its standard output; what it has to complain about goes to ours.
    /// - Parameter package: the Debian package that has the program.
    static func run(
        _ program: String, _ arguments: [String] = [], input request: [UInt8] = [],
        package: String
    ) throws(GeneratorError) -> [UInt8] {
        var input: (read: Int32, write: Int32) = (-1, -1)
        var output: (read: Int32, write: Int32) = (-1, -1)
        try openPipe(&input)
        try openPipe(&output)
        signal(SIGPIPE, SIG_IGN)

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input.read, STDIN_FILENO)
        posix_spawn_file_actions_adddup2(&actions, output.write, STDOUT_FILENO)
        for descriptor in [input.read, input.write, output.read, output.write] {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        var process = pid_t()
        let words = ([program] + arguments).map { strdup($0) }
        defer { for word in words { free(word) } }
        let status = posix_spawnp(&process, program, &actions, nil, words + [nil], environ)
        close(input.read)
        close(output.write)
        guard status == 0 else {
            close(input.write)
            close(output.read)
            guard status != ENOENT else {
                throw GeneratorError(
                    "\(program) is not installed; on Debian: apt-get install \(package)")
            }
            throw GeneratorError("cannot start \(program): \(String(cString: strerror(status)))")
        }
        // Both programs read their whole input before they write.
        var failure: GeneratorError?
        do throws(GeneratorError) { try writeAll(input.write, request) } catch { failure = error }
        close(input.write)
        let answer = try readAll(output.read)
        close(output.read)
        var result: Int32 = 0
        while waitpid(process, &result, 0) < 0, errno == EINTR {}
        guard result == 0 else {
            throw GeneratorError("\(program) refused; what it says is above")
        }
        if let failure { throw failure }
        return answer
    }

    private static func openPipe(
        _ ends: inout (read: Int32, write: Int32)
    ) throws(GeneratorError) {
        var descriptors: [Int32] = [-1, -1]
        guard pipe(&descriptors) == 0 else { throw GeneratorError("cannot open a pipe") }
        ends = (descriptors[0], descriptors[1])
    }

    /// All bytes up to the end of `descriptor`.
    static func readAll(_ descriptor: Int32) throws(GeneratorError) -> [UInt8] {
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count == 0 { return result }
            if count > 0 {
                result += buffer[..<count]
            } else if errno != EINTR {
                throw GeneratorError("cannot read: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Writes all of `bytes`.
    static func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) throws(GeneratorError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                throw GeneratorError("cannot write: \(String(cString: strerror(errno)))")
            }
        }
    }
}
