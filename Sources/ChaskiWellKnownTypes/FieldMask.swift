public import ChaskiProtobuf

extension Google_Protobuf_FieldMask: ExpressibleByArrayLiteral {
    /// Names as in the .proto file, of nested fields with dots between: `settings.retry`.
    public init(protoPaths: String...) {
        self.init(paths: protoPaths)
    }

    public init(arrayLiteral elements: String...) {
        self.init(paths: elements)
    }

    /// Every field of `M`, by name.
    public init<M: Message>(allFieldsOf type: M.Type) {
        self.init(paths: FieldPaths.names(of: M.self))
    }

    /// The first path that does not name a field of `M`; nil when all do. Only the last name of a
    /// path may be that of a scalar, a repeated field or a map.
    public func firstInvalidPath<M: Message>(for type: M.Type) -> String? {
        paths.first { FieldPaths([$0], of: M.self) == nil }
    }

    /// True when `path` or a field around it is named.
    public func contains(_ path: String) -> Bool {
        paths.contains { Self.covers($0, path) }
    }

    /// The same fields in order, without those that another path covers.
    public var canonical: Self {
        var kept: [String] = []
        for path in paths.sorted(by: Self.precedes)
        where !path.isEmpty && !(kept.last.map { Self.covers($0, path) } ?? false) {
            kept.append(path)
        }
        return Self(paths: kept)
    }

    /// What either names; canonical.
    public func union(_ other: Self) -> Self {
        Self(paths: paths + other.paths).canonical
    }

    /// What both name; canonical.
    public func intersect(_ other: Self) -> Self {
        let mine = paths.filter { other.contains($0) }
        return Self(paths: mine + other.paths.filter { contains($0) }).canonical
    }

    private static func covers(_ outer: String, _ path: String) -> Bool {
        path == outer
            || (path.hasPrefix(outer) && path.utf8.dropFirst(outer.utf8.count).first == 0x2E)
    }

    /// By name within name, so that a field stands right before what is in it.
    private static func precedes(_ left: String, _ right: String) -> Bool {
        left.split(separator: ".").lexicographicallyPrecedes(right.split(separator: "."))
    }
}

/// Why a mask could not be applied.
public enum FieldMaskError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A path that names no field of the message.
    case noSuchField(path: String, message: String)
    /// A message could not be written, as a required field is missing.
    case unencodable(EncodingError)
    /// The outcome could not be read, as a required field is missing.
    case undecodable(DecodingError)

    public var description: String {
        switch self {
        case .noSuchField(let path, let message): "\(message) has no field '\(path)'"
        case .unencodable(let error): "\(error)"
        case .undecodable(let error): "\(error)"
        }
    }
}

extension Message {
    /// Unsets every field that `mask` does not name, unknown ones too.
    public mutating func trim(keeping mask: Google_Protobuf_FieldMask) throws(FieldMaskError) {
        let paths = try Self.paths(of: mask)
        self = try Self.decoded(paths.keeping(try encoded()))
    }

    /// Takes the fields that `mask` names over from `source`, as an update does: where they are
    /// unset there they are unset here; repeated fields and maps are replaced as a whole.
    public mutating func merge(
        from source: Self, fieldMask mask: Google_Protobuf_FieldMask
    ) throws(FieldMaskError) {
        let paths = try Self.paths(of: mask)
        // One serialised message after another is their merge.
        let rest = paths.removing(try encoded())
        self = try Self.decoded(rest + paths.keeping(try source.encoded()))
    }

    private static func paths(
        of mask: Google_Protobuf_FieldMask
    ) throws(FieldMaskError) -> FieldPaths {
        guard let paths = FieldPaths(mask.paths, of: Self.self) else {
            let path = mask.firstInvalidPath(for: Self.self) ?? ""
            throw .noSuchField(path: path, message: protoMessageName)
        }
        return paths
    }

    private func encoded() throws(FieldMaskError) -> [UInt8] {
        do throws(EncodingError) {
            return try serializedBytes()
        } catch {
            throw .unencodable(error)
        }
    }

    private static func decoded(_ bytes: [UInt8]) throws(FieldMaskError) -> Self {
        do throws(DecodingError) {
            return try Self(serializedBytes: bytes, options: .init(memoryBudget: .max))
        } catch {
            throw .undecodable(error)
        }
    }
}
