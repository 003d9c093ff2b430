/// Whether bytes are UTF-8 as the Unicode standard (chapter 3, table 3-7) has it.
package enum UTF8Check {
    /// True for the empty span.
    package static func isValid(_ bytes: RawSpan) -> Bool {
        var position = 0
        let count = bytes.byteCount
        while position < count {
            // The next 4 bytes, with zeros past the end; zeros never continue a sequence.
            var word: UInt32 = 0
            for step in 0..<min(4, count - position) {
                let byte = bytes.littleEndian(UInt8.self, at: position + step) ?? 0
                word |= UInt32(byte) << UInt32(8 * step)
            }
            guard let length = sequenceLength(word) else { return false }
            position += length
        }
        return true
    }

    /// The length of the sequence at the low end of `word`; nil where there is none.
    private static func sequenceLength(_ word: UInt32) -> Int? {
        let first = word & 0xff
        let second = word >> 8 & 0xff
        let third = word >> 16 & 0xff
        let fourth = word >> 24
        func continues(_ byte: UInt32) -> Bool { byte & 0xc0 == 0x80 }
        switch first {
        case 0x00...0x7f: return 1
        case 0xc2...0xdf: return continues(second) ? 2 : nil
        case 0xe0...0xef:
            let low: UInt32 = first == 0xe0 ? 0xa0 : 0x80
            let high: UInt32 = first == 0xed ? 0x9f : 0xbf
            return (low...high).contains(second) && continues(third) ? 3 : nil
        case 0xf0...0xf4:
            let low: UInt32 = first == 0xf0 ? 0x90 : 0x80
            let high: UInt32 = first == 0xf4 ? 0x8f : 0xbf
            return (low...high).contains(second) && continues(third) && continues(fourth) ? 4 : nil
        default: return nil
        }
    }
}
