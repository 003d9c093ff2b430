extension FailureReason {
    /// The topic's quota is used up.
    public static let topicFull = Self(rawValue: "topic-full")
    /// The offset is no dead letter of the subscription.
    public static let unknownDeadLetter = Self(rawValue: "unknown-dead-letter")
    /// As many dead letters are kept as may be.
    public static let deadStoreFull = Self(rawValue: "dead-store-full")
    /// A message with this dedup id and another payload is stored already.
    public static let dedupConflict = Self(rawValue: "dedup-conflict")
    /// The namespace remembers as many dedup ids as it may.
    public static let dedupFull = Self(rawValue: "dedup-full")
    /// The namespace remembers as many atomic requests as it may.
    public static let transactionsFull = Self(rawValue: "transactions-full")
    /// A newer connection of the same session took over.
    public static let replaced = Self(rawValue: "replaced")
}
