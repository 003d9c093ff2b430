extension FailureReason {
    /// The topic's quota is used up.
    public static let topicFull = Self(rawValue: "topic-full")
    /// A newer connection of the same session took over.
    public static let replaced = Self(rawValue: "replaced")
}
