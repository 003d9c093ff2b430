package import ChaskiModel

/// What the names of new things may be, beyond what the broker itself demands.
package enum Names {
    /// A name that nobody could see or type again is refused: blank, or with white space around.
    ///
    /// - Throws: `invalid-name`.
    package static func check(_ name: String, of what: String) throws(Failure) {
        guard name.first?.isWhitespace != true, name.last?.isWhitespace != true else {
            throw Failure(
                .invalidArgument, .invalidName,
                "the name \"\(Text.printable(name))\" of a \(what) begins or ends with white "
                    + "space; leave that out")
        }
    }
}
