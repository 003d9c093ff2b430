private import Glibc
package import ChaskiModel

/// The settings that come from outside: variables `CHASKI_*`, overridden by flags.
package struct Environment: Sendable {
    private let lookUp: @Sendable (String) -> String?

    package init(_ values: [String: String]) {
        lookUp = { values[$0] }
    }

    private init(lookUp: @escaping @Sendable (String) -> String?) {
        self.lookUp = lookUp
    }

    /// The process's own.
    package static let process = Environment(lookUp: { name in
        getenv(name).map { String(cString: $0) }
    })

    /// The value of `CHASKI_<name>`; nil where it is unset or empty.
    package func text(_ name: String) -> String? {
        guard let value = lookUp("CHASKI_" + name), !value.isEmpty else { return nil }
        return value
    }

    /// Flag before environment before default.
    package func resolve(_ flag: String?, _ name: String, default fallback: String) -> String {
        flag ?? text(name) ?? fallback
    }

    /// Flag before environment; nil where neither says anything.
    ///
    /// - Throws: `invalid-option` where the variable's text is not a value of the type.
    package func resolve<Value>(
        _ flag: Value?, _ name: String, parse: (String) -> Value?
    ) throws(Failure) -> Value? {
        if let flag { return flag }
        guard let text = text(name) else { return nil }
        guard let value = parse(text) else {
            throw Failure(
                .invalidArgument, .invalidOption,
                "CHASKI_\(name)=\(text) is not a valid value; correct or unset the variable")
        }
        return value
    }

    /// Whether a switch is on: the flag, or the variable set to 1, true, yes or on.
    package func resolve(_ flag: Bool, _ name: String) throws(Failure) -> Bool {
        if flag { return true }
        return try resolve(nil, name) { text -> Bool? in
            switch text.lowercased() {
            case "1", "true", "yes", "on": true
            case "0", "false", "no", "off": false
            default: nil
            }
        } ?? false
    }
}
