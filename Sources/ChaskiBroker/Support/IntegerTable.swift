/// Values by 64-bit integers: open addressing with linear probing, and deletion by moving back what
/// follows (Knuth, The Art of Computer Programming, volume 3, 6.4, algorithm R).
///
/// It serves what is looked up for each message. Integers are mixed with a secret of the process, so
/// that nobody can choose many that meet. A quarter to fifteen sixteenths of its places are free;
/// without anything ever in it, it takes no memory.
final class IntegerTable<Value: BitwiseCopyable> {
    private struct Place {
        var key: UInt64
        /// Nil where the place is free.
        var value: Value?
    }

    private var memory: UnsafeMutablePointer<Place>?
    /// The number of places less one; a power of two less one.
    private var mask = -1
    private(set) var count = 0
    private let secret = IntegerTableSecret.value

    private static var leastPlaces: Int { 16 }

    deinit { memory?.deallocate() }

    @inline(__always)
    private func home(of key: UInt64) -> Int {
        Int(truncatingIfNeeded: SplitMix64.mix(key ^ secret)) & mask
    }

    /// The place of `key`, or the free one where it would go.
    @inline(__always)
    private func place(of key: UInt64, _ places: UnsafeMutablePointer<Place>) -> Int {
        var index = home(of: key)
        while places[index].value != nil, places[index].key != key { index = (index + 1) & mask }
        return index
    }

    @inline(__always)
    subscript(_ key: UInt64) -> Value? {
        guard count > 0, let places = memory else { return nil }
        return places[place(of: key, places)].value
    }

    /// - Returns: What was there before.
    @discardableResult
    func insert(_ value: Value, for key: UInt64) -> Value? {
        if count >= (mask + 1) / 4 * 3 { resize(to: max(Self.leastPlaces, (mask + 1) * 2)) }
        guard let places = memory else { preconditionFailure("no memory for a table") }
        let index = place(of: key, places)
        let before = places[index].value
        places[index] = Place(key: key, value: value)
        if before == nil { count += 1 }
        return before
    }

    @discardableResult
    func remove(_ key: UInt64) -> Value? {
        guard count > 0, let places = memory else { return nil }
        var hole = place(of: key, places)
        guard let removed = places[hole].value else { return nil }
        var index = hole
        while true {
            index = (index + 1) & mask
            guard places[index].value != nil else { break }
            // One goes back where its home is not behind the hole.
            let distance = (index - home(of: places[index].key)) & mask
            if distance >= (index - hole) & mask {
                places[hole] = places[index]
                hole = index
            }
        }
        places[hole].value = nil
        count -= 1
        if mask >= Self.leastPlaces, count < (mask + 1) / 16 {
            resize(to: max(Self.leastPlaces, (mask + 1) / 4))
        }
        return removed
    }

    private func resize(to size: Int) {
        let old = UnsafeMutableBufferPointer(start: memory, count: mask + 1)
        let places = UnsafeMutablePointer<Place>.allocate(capacity: size)
        places.initialize(repeating: Place(key: 0, value: nil), count: size)
        memory = places
        mask = size - 1
        for item in old where item.value != nil { places[place(of: item.key, places)] = item }
        old.deallocate()
    }

    /// In no order; only while nothing is put in or taken out.
    var all: some Sequence<(key: UInt64, value: Value)> {
        UnsafeMutableBufferPointer(start: memory, count: mask + 1).lazy.compactMap { place in
            place.value.map { (place.key, $0) }
        }
    }
}

/// The same for all tables of a process, and another in the next.
private enum IntegerTableSecret {
    static let value = UInt64(truncatingIfNeeded: 0.hashValue)
}
