/// Why nothing was generated; the text goes to protoc's user.
package struct GeneratorError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong: `file.proto:line: full.name: why`.
    package let description: String

    /// Says what is wrong.
    package init(_ description: String) {
        self.description = description
    }
}
