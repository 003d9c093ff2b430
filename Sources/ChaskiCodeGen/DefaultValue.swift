/// Defaults of proto2 fields as Swift expressions.
enum DefaultValue {
    /// The expression for `text`, which is what descriptors hold: numbers in decimal, text as it
    /// is, bytes with C escapes, the name of an enum value.
    static func expression(_ text: String, _ kind: FieldKind) -> String? {
        switch kind {
        case .double, .float:
            switch text {
            case "inf": return ".infinity"
            case "-inf": return "-.infinity"
            case "nan", "-nan": return ".nan"
            default: return decimal(text, kind)
            }
        case .string:
            return literal(text)
        case .bytes:
            let bytes = unescaped(Array(text.utf8))
            return "[" + bytes.map(String.init).joined(separator: ", ") + "]"
        case .enumeration(let model):
            return model.values.first { $0.name == text }.map { value in
                "." + value.swiftName
            }
        case .message, .group:
            return nil
        default:
            return text
        }
    }

    /// A finite number. Literals of subnormal numbers are a warning, and `-0` is an integer.
    private static func decimal(_ text: String, _ kind: FieldKind) -> String {
        if case .float = kind, let value = Float(text), value.isSubnormal {
            return "Float(bitPattern: \(value.bitPattern))"
        }
        if case .double = kind, let value = Double(text), value.isSubnormal {
            return "Double(bitPattern: \(value.bitPattern))"
        }
        return text.contains { ".e".contains($0) } ? text : text + ".0"
    }

    /// `text` as a Swift literal.
    static func literal(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            default:
                if scalar.value < 0x20 || scalar.value == 0x7F || scalar.value > 0x7E {
                    result += "\\u{" + String(scalar.value, radix: 16) + "}"
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }

    /// Undoes C escapes, of which protoc writes octal ones and the short ones.
    static func unescaped(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let next = rest.popFirst() else {
                result.append(byte)
                continue
            }
            switch next {
            case UInt8(ascii: "n"): result.append(10)
            case UInt8(ascii: "r"): result.append(13)
            case UInt8(ascii: "t"): result.append(9)
            case UInt8(ascii: "a"): result.append(7)
            case UInt8(ascii: "b"): result.append(8)
            case UInt8(ascii: "f"): result.append(12)
            case UInt8(ascii: "v"): result.append(11)
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                var value = Int(next) - 48
                for _ in 0..<2 {
                    guard let digit = rest.first, (48...55).contains(digit) else { break }
                    value = value * 8 + Int(digit) - 48
                    rest.removeFirst()
                }
                result.append(UInt8(truncatingIfNeeded: value))
            default:
                result.append(next)
            }
        }
        return result
    }
}
