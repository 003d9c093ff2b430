import ChaskiModel

extension [UInt8] {
    mutating func append(atomic applied: AtomicApplied) {
        append(littleEndian: applied.transaction.rawValue)
        append(varint: UInt64(applied.published.count))
        for published in applied.published {
            append(varint: published.topic.rawValue)
            append(varint: published.baseOffset)
            append(varint: UInt64(published.count))
            append(zigzag: published.appendTimeNanos)
            append(duplicates: published.duplicates)
        }
    }

    /// Atomic requests in order of time.
    mutating func append(transactions records: [TransactionTable.Record]) {
        append(varint: UInt64(records.count))
        for record in records {
            append(zigzag: record.clock)
            append(atomic: record.applied)
        }
    }
}

extension ByteReader {
    mutating func atomicApplied() throws(Failure) -> AtomicApplied {
        var applied = AtomicApplied(
            transaction: TransactionID(rawValue: try fixed()), published: [])
        let number = try count(each: 5)
        guard number <= Limits.atomicParts else {
            throw .corruptEntry("an atomic request has too many parts")
        }
        for _ in 0..<number {
            var published = AtomicPublished(
                topic: TopicID(rawValue: try varint()), baseOffset: try varint(),
                count: try varint32(), appendTimeNanos: try zigzag(), duplicates: [])
            guard published.count > 0, published.baseOffset <= Offset(Int64.max) else {
                throw .corruptEntry("a batch has no valid range")
            }
            published.duplicates = try duplicates(of: published.count)
            applied.published.append(published)
        }
        return applied
    }

    mutating func transactions() throws(Failure) -> [TransactionTable.Record] {
        var records: [TransactionTable.Record] = []
        for _ in 0..<(try count(each: 18)) {
            let clock = try zigzag()
            records.append(TransactionTable.Record(applied: try atomicApplied(), clock: clock))
        }
        return records
    }
}
