#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// What the operating system knows of this process.
enum ProcessFigures {
    /// Bytes of memory that are resident; 0 where the kernel does not tell.
    static func residentBytes() -> UInt64 {
        guard let file = fopen("/proc/self/statm", "re") else { return 0 }
        defer { fclose(file) }
        var text = [UInt8](repeating: 0, count: 128)
        let count = fread(&text, 1, text.count, file)
        let fields = text.prefix(count).split(separator: UInt8(ascii: " "))
        guard fields.count > 1, let pages = UInt64(String(decoding: fields[1], as: UTF8.self))
        else {
            return 0
        }
        return pages &* UInt64(clamping: sysconf(Int32(_SC_PAGESIZE)))
    }

    /// Heap allocations since the process started, where a counting library was preloaded that
    /// exports them as the 64-bit variable `chaski_allocations`; 0 otherwise.
    static func allocations() -> UInt64 {
        guard let program = dlopen(nil, RTLD_NOW) else { return 0 }
        defer { dlclose(program) }
        return dlsym(program, "chaski_allocations")?.load(as: UInt64.self) ?? 0
    }

    /// Asks for as many open files as this process may have: a connection takes one.
    static func raiseFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
