import ChaskiModel

/// What a setting of a topic is called on disk. A setting that has no tag has its default.
private enum TopicSettingTag: UInt64 {
    case maximumBytes = 1
    case dedupWindow = 2
}

extension [UInt8] {
    /// The number of settings that are given, then tag and value of each.
    mutating func append(settings: TopicSettings) {
        var given: [(tag: TopicSettingTag, value: UInt64)] = []
        if let bytes = settings.maximumBytes { given.append((.maximumBytes, bytes)) }
        if let window = settings.dedupWindowNanos {
            given.append((.dedupWindow, UInt64(clamping: window)))
        }
        append(varint: UInt64(given.count))
        for setting in given {
            append(varint: setting.tag.rawValue)
            append(varint: setting.value)
        }
    }

    /// Members that were stored before: the distance of each index from the one before, and its
    /// offset.
    mutating func append(duplicates: [DuplicateMember]) {
        append(varint: UInt64(duplicates.count))
        var next: UInt32 = 0
        for duplicate in duplicates {
            precondition(duplicate.index >= next, "indices ascend")
            append(varint: UInt64(duplicate.index - next))
            append(varint: duplicate.offset)
            next = duplicate.index + 1
        }
    }
}

extension ByteReader {
    mutating func topicSettings() throws(Failure) -> TopicSettings {
        var settings = TopicSettings()
        for _ in 0..<(try count(each: 2)) {
            let tag = try varint()
            let value = try varint()
            switch TopicSettingTag(rawValue: tag) {
            case .maximumBytes: settings.maximumBytes = value
            case .dedupWindow:
                guard value > 0, let window = Int64(exactly: value) else {
                    throw .corruptEntry("a dedup window is impossible")
                }
                settings.dedupWindowNanos = window
            case nil: throw .corruptEntry("a topic's setting \(tag) is not known")
            }
        }
        return settings
    }

    /// For a batch of `count` members.
    mutating func duplicates(of count: UInt32) throws(Failure) -> [DuplicateMember] {
        let number = try self.count(each: 2)
        guard UInt64(number) <= UInt64(count) else {
            throw .corruptEntry("a batch has more duplicates than members")
        }
        var duplicates: [DuplicateMember] = []
        duplicates.reserveCapacity(number)
        var next: UInt32 = 0
        for _ in 0..<number {
            let (index, overflow) = next.addingReportingOverflow(try varint32())
            let offset = try varint()
            guard !overflow, index < count, offset <= Offset(Int64.max) else {
                throw .corruptEntry("a duplicate is not a member of its batch")
            }
            duplicates.append(DuplicateMember(index: index, offset: offset))
            next = index + 1
        }
        return duplicates
    }
}
